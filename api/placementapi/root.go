package placementapi

import "net/http"

// home tells the versions. It needs no token.
func (c *call) home() error {
	c.out = append(c.out, `{"versions": [{"id": "v`...)
	c.out = append(c.out, Service.Min.String()...)
	c.out = append(c.out, `", "max_version": "`...)
	c.out = append(c.out, Service.Max.String()...)
	c.out = append(c.out, `", "min_version": "`...)
	c.out = append(c.out, Service.Min.String()...)
	c.out = append(c.out, `", "status": "CURRENT", "links": [{"rel": "self", "href": ""}]}]}`...)
	if c.at(15) {
		c.fresh(c.now)
	}
	return c.send(http.StatusOK)
}
