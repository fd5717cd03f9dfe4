"""How long Nova's own filters and weighers take, on host states in memory.

A peer of `kilonova bench scheduler`: called with numbers of hosts, it prints a
line for each. Only what chooses among ready host states is measured; loading
them from databases, which takes Nova many times longer, is not.
"""

import json
import sys
import time

import judge  # first: it prepares what Nova needs

DECISIONS = 9


def hosts(number):
    return [judge.host_state({
        'host': 'host%d' % n, 'uuid': '%08x-0000-0000-0000-000000000000' % n,
        'free_ram_mb': 4 << 20, 'total_usable_ram_mb': 4 << 20,
        'free_disk_mb': 1 << 30, 'vcpus_total': 256,
        'cpu_allocation_ratio': 16.0,
        'supported_instances': [['x86_64', 'kvm', 'hvm']],
    }) for n in range(number)]


def spec():
    return judge.request_spec({
        'flavor': {'name': 'shape0', 'vcpus': 1, 'memory_mb': 512,
                   'root_gb': 1, 'ephemeral_gb': 0, 'swap': 0,
                   'extra_specs': {}},
        'image': {'properties': {}}, 'project_id': 'project',
        'user_id': 'user', 'instance_uuids': [judge.ONE_CELL]})


def measure(number):
    with judge.configured({}):
        scheduler = judge.SchedulerManager(hosts(number))
        manager = scheduler.host_manager
        manager.filter_handler.seen = manager.weight_handler.seen = []
        wanted, taken = spec(), []
        for _ in range(DECISIONS):
            begun = time.process_time()
            found = scheduler._get_sorted_hosts(wanted, scheduler.states, 0)
            taken.append(time.process_time() - begun)
            if len(found) != number:
                raise SystemExit('%d hosts of %d passed' % (
                    len(found), number))
            found[0].consume_from_request(wanted)
    return sorted(taken)[DECISIONS // 2]


for count in map(int, sys.argv[1:]):
    print(json.dumps({'peer': 'nova', 'hosts': count, 'decisions': DECISIONS,
                      'cpu_us': 1e6 * measure(count)}), flush=True)
