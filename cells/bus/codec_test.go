package bus

import (
	"bytes"
	"errors"
	"reflect"
	"testing"
	"time"
)

func sample() Envelope {
	return Envelope{ID: ID{1, 2, 3}, Topic: "compute.h1", Method: "ping", Version: Version{2, 7}, Timeout: 1500 * time.Millisecond, Body: []byte("body")}
}

func TestRequestRoundTrip(t *testing.T) {
	t.Parallel()
	want := sample()
	got, err := DecodeRequest(AppendRequest([]byte("before"), want)[len("before"):])
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}

func TestNewerForms(t *testing.T) {
	t.Parallel()
	data := AppendRequest(nil, sample())
	body := len("body")
	newer := append(bytes.Clone(data[:len(data)-body]), "fields to come"...)
	newer = append(newer, "body"...)
	newer[3], newer[5] = 9, newer[5]+byte(len("fields to come"))
	if got, err := DecodeRequest(newer); err != nil || !reflect.DeepEqual(got, sample()) {
		t.Errorf("a newer minor: got %+v, %v", got, err)
	}
	newer[2] = formMajor + 1
	want := VersionError{Got: Version{formMajor + 1, 9}, Have: Version{formMajor, formMinor}, OldestMajor: formMajor}
	for name, decode := range map[string]func([]byte) error{
		"request": func(b []byte) error { _, err := DecodeRequest(b); return err },
		"reply":   func(b []byte) error { _, err := DecodeReply(b); return err },
	} {
		if got := (*VersionError)(nil); !errors.As(decode(newer), &got) || *got != want {
			t.Errorf("a newer major of a %s: %v, want %v", name, got, &want)
		}
	}
}

func TestReplyRoundTrip(t *testing.T) {
	t.Parallel()
	for _, want := range []error{
		nil, ErrNoMethod, ErrBusy, ErrRepeated, ErrTimeout, ErrMalformed, ErrNoHandler,
		&RemoteError{Code: "C", Message: "m"}, &RemoteError{Message: "m"},
		&VersionError{Got: Version{4, 1}, Have: Version{3, 2}, OldestMajor: 2},
	} {
		reply, got := DecodeReply(AppendReply(nil, []byte("reply"), want))
		if want == nil {
			if got != nil || string(reply) != "reply" {
				t.Errorf("got %q, %v", reply, got)
			}
			continue
		}
		if !errors.Is(got, want) && !reflect.DeepEqual(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	}
}

func TestMalformed(t *testing.T) {
	t.Parallel()
	for _, whole := range [][]byte{AppendRequest(nil, sample()), AppendReply(nil, nil, &RemoteError{Code: "C"})} {
		header := prefix + int(whole[5])
		for size := range header {
			if _, err := DecodeRequest(whole[:size]); err == nil {
				t.Errorf("%d bytes of a request decode", size)
			}
			if _, err := DecodeReply(whole[:size]); err == nil {
				t.Errorf("%d bytes of a reply decode", size)
			}
		}
	}
	if _, err := DecodeRequest(AppendRequest(nil, Envelope{Topic: "t"})); err == nil {
		t.Error("an envelope that is not valid decodes")
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(AppendRequest(nil, sample()))
	f.Add(AppendReply(nil, []byte("x"), nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		if e, err := DecodeRequest(data); err == nil {
			if again, err := DecodeRequest(AppendRequest(nil, e)); err != nil || again.ID != e.ID || again.Method != e.Method || !bytes.Equal(again.Body, e.Body) {
				t.Errorf("%+v became %+v, %v", e, again, err)
			}
		}
		if reply, err := DecodeReply(data); err == nil {
			if again, err := DecodeReply(AppendReply(nil, reply, nil)); err != nil || !bytes.Equal(again, reply) {
				t.Errorf("%q became %q, %v", reply, again, err)
			}
		}
	})
}
