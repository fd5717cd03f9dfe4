"""What the newest Nova imports and Debian 12's libraries do not have.

What takes part in decisions is VersionPredicate alone, the newest form of
the image property img_hv_requested_version.
"""

import operator
import re
import sys
import types

import os_traits
from oslo_config import cfg
import oslo_service
from oslo_utils import versionutils
from oslo_versionedobjects import fields
from packaging import version

if not hasattr(oslo_service, 'opts'):
    try:
        import oslo_service.opts  # noqa: F401
    except ImportError:
        opts = types.ModuleType('oslo_service.opts')
        opts.set_service_opts_defaults = lambda *args, **kwargs: None
        sys.modules['oslo_service.opts'] = oslo_service.opts = opts

_int_opt = cfg.IntOpt.__init__


def _int_opt_with_choices(self, name, min=None, max=None, choices=None, **kw):
    _int_opt(self, name, min=min, max=max, **kw)


def _trait(name):
    if name.startswith('_'):
        raise AttributeError(name)
    return name


class VersionPredicate:
    """A list like >=6.0,<7.2, all of which a version has to satisfy."""

    _one = re.compile(r'\s*(<=|>=|<|>|!=|==)\s*(\S+)\s*\Z')
    _holds = {'<': operator.lt, '<=': operator.le, '==': operator.eq,
              '>': operator.gt, '>=': operator.ge, '!=': operator.ne}

    def __init__(self, text):
        self.all = []
        for part in text.split(','):
            found = self._one.match(part)
            if found is None:
                raise ValueError('no version predicate: %r' % part)
            self.all.append(
                (self._holds[found[1]], version.Version(found[2])))

    def satisfied_by(self, text):
        have = version.Version(text)
        return all(holds(have, want) for holds, want in self.all)


def _predicate(obj, attr, value):
    versionutils.VersionPredicate(value)
    return value


cfg.IntOpt.__init__ = _int_opt_with_choices
os_traits.__getattr__ = _trait
if not hasattr(versionutils, 'VersionPredicate'):
    versionutils.VersionPredicate = VersionPredicate
    fields.VersionPredicate.coerce = staticmethod(_predicate)
