#!/usr/bin/python3
"""Fills in what oslo.policy (Debian: python3-oslo.policy) decides in each case.

Usage: compute.py oslo.json   (is rewritten)

A case has the operator's file ("file", rules by name, texts or lists), who asks
("who": user_id, project_id, domain_id, system_scope, roles) and optionally
"target" and the options "enforce_scope" and "enforce_new_defaults". The answer
is about the rule "r", whose default, when the case has "rule", is that with
"deprecated" as its former text and "scope_types" as its scopes.
"""
import json
import os
import sys
import tempfile

from oslo_config import cfg
from oslo_context import context
from oslo_policy import opts, policy


def decide(case):
    conf = cfg.ConfigOpts()
    opts._register(conf)
    conf([], project='none', default_config_files=[])
    conf.set_override('enforce_scope', case.get('enforce_scope', False), 'oslo_policy')
    conf.set_override('enforce_new_defaults', case.get('enforce_new_defaults', False), 'oslo_policy')
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'policy.json')
        with open(path, 'w') as f:
            json.dump(case.get('file', {}), f)
        enforcer = policy.Enforcer(conf, policy_file=path)
        enforcer.suppress_default_change_warnings = enforcer.suppress_deprecation_warnings = True
        if 'rule' in case:
            former = None
            if 'deprecated' in case:
                former = policy.DeprecatedRule('former', case['deprecated'], deprecated_reason='it is old', deprecated_since='1')
            enforcer.register_default(policy.RuleDefault('r', case['rule'], deprecated_rule=former, scope_types=case.get('scope_types')))
        who = context.RequestContext(**case['who'])
        target = case.get('target', {'project_id': who.project_id, 'user_id': who.user_id})
        return bool(enforcer.enforce('r', target, who))


cases = json.load(open(sys.argv[1]))
for case in cases:
    try:
        case['want'] = decide(case)
    except Exception:  # a wrong scope, or a rule that oslo.policy fails on, which its users answer with 500
        case['want'] = False
with open(sys.argv[1], 'w') as f:
    f.write('[\n' + ',\n'.join(json.dumps(c) for c in cases) + '\n]\n')
