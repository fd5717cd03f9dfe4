"""Makes random cases and writes what Nova itself decides, a JSON line each.

  apt-get install --yes python3-nova   # the libraries that Nova needs
  PYTHONPATH=NOVA /usr/bin/python3 judge.py SEED COUNT [ports] > cases.jsonl

With "ports" every request has devices for ports, too.

NOVA is a work tree of openstack/nova. Filters, HostState.consume_from_request
and what they call run unchanged; only hosts and requests are made up.
"""

import json
import logging
import random
import sys
import types

from oslo_config import cfg
import os_traits
import oslo_service
from oslo_utils import uuidutils

# What Nova imports and older libraries lack; nothing of it decides.
try:
    import oslo_service.opts  # noqa: F401
except ImportError:
    opts = types.ModuleType('oslo_service.opts')
    opts.set_service_opts_defaults = lambda *args, **kwargs: None
    sys.modules['oslo_service.opts'] = oslo_service.opts = opts
_int_opt = cfg.IntOpt.__init__
cfg.IntOpt.__init__ = lambda self, name, min=None, max=None, choices=None, **kw: _int_opt(
    self, name, min=min, max=max, **kw)
if not hasattr(os_traits, 'HW_CPU_X86_AMD_SEV_SNP'):
    def _trait(name):
        if name.startswith('__'):
            raise AttributeError(name)
        return name
    os_traits.__getattr__ = _trait

import nova.conf  # noqa: E402
from nova import objects  # noqa: E402
from nova.pci import request as pci_request  # noqa: E402
from nova.pci import stats as pci_stats  # noqa: E402
from nova.scheduler import host_manager  # noqa: E402
from nova.scheduler.filters import numa_topology_filter  # noqa: E402
from nova.scheduler.filters import pci_passthrough_filter  # noqa: E402
from nova.virt import hardware  # noqa: E402

CONF = nova.conf.CONF
logging.disable(logging.CRITICAL)
objects.register_all()
CONF([], project='nova', default_config_files=[])


# Cases.

def some(r, items, most=None):
    return r.sample(items, r.randint(0, len(items) if most is None else min(most, len(items))))


def host_cell(r, number, ident, threads, cores):
    """A cell whose CPUs are counted as one of several machines counts them."""
    total = r.choice([cores * 4, cores * 8, 8, 16, 24, 32, 40])
    style = r.randrange(4)
    siblings = []
    for c in range(cores):
        if style == 0:
            core = [number * cores * threads + c * threads + t for t in range(threads)]
        elif style == 1:
            core = [number * cores + c + t * max(total, cores * 8) for t in range(threads)]
        elif style == 2:
            core = [c * 8 + number + t * 8 * cores * 8 for t in range(threads)]
        else:
            core = [7 + number * 64 + c * 8 + t * 1024 for t in range(threads)]
        if r.random() < 0.3:
            r.shuffle(core)
        siblings.append(core)
    if r.random() < 0.3:
        r.shuffle(siblings)
    cpus = [c for core in siblings for c in core]
    kind = r.random()
    if kind < 0.35:
        pcpus, shared = list(cpus), list(cpus)
    elif kind < 0.55:
        pcpus, shared = list(cpus), []
    elif kind < 0.65:
        pcpus, shared = [], list(cpus)
    else:
        cut = r.randrange(len(cpus) + 1)
        pcpus, shared = cpus[cut:], cpus[:cut]
    if r.random() < 0.3:
        r.shuffle(pcpus)
    cell = {'id': ident, 'memory': r.choice([512, 1024, 2048, 4096, 3000, 8192])}
    if shared or r.random() < 0.5:
        cell['cpuset'] = shared
    if pcpus or r.random() < 0.5:
        cell['pcpuset'] = pcpus
    if r.random() < 0.6:
        cell['pinned_cpus'] = some(r, pcpus, r.choice([1, 2, 4, 100]))
    if r.random() < 0.6:
        cell['memory_usage'] = r.choice([0, 256, 512, 1024, 2048])
    if r.random() < 0.6:
        cell['cpu_usage'] = r.randint(0, 2 * len(shared))
    cell['siblings'] = siblings
    if r.random() < 0.02:
        cell['siblings'] = []
    if r.random() < 0.8:
        cell['socket'] = r.choice([0, 0, 1, number // 2, None])
    cell['mempages'] = []
    for size in r.sample([4, 64, 2048, 16384, 1048576], r.choice([0, 1, 1, 2, 2, 3])):
        most = max(1, cell['memory'] * 1024 // size)
        page = {'size_kb': size, 'total': r.choice([most, most // 2, r.randint(0, most)])}
        if r.random() < 0.5:
            page['used'] = r.choice([0, most // 4, r.randint(0, most)])
        if r.random() < 0.3:
            page['reserved'] = r.choice([0, 1, most // 8])
        cell['mempages'].append(page)
    return cell


def host(r):
    if r.random() < 0.04:
        return r.choice([None, {'cells': []}])
    n = r.choice([1, 1, 2, 2, 2, 3, 4, 4, 5, 6])
    idents = list(range(n))
    if r.random() < 0.3:
        r.shuffle(idents)
    if r.random() < 0.1:
        idents = [i * 2 + 1 for i in idents]
    threads = r.choice([1, 2, 2, 2, 2, 4, 8])
    cores = r.choice([1, 2, 2, 3, 4, 6, 8])
    cells = [host_cell(r, i, ident, threads, cores) for i, ident in enumerate(idents)]
    if r.random() < 0.5:  # equal ones, so that only order decides
        for c in cells[1:]:
            c['memory'], c['mempages'] = cells[0]['memory'], json.loads(json.dumps(cells[0]['mempages']))
            c.pop('memory_usage', None)
    if r.random() < 0.4:
        for i, c in enumerate(cells):
            c['socket'] = i // 2
    return {'cells': cells}


def pools(r):
    out = []
    for _ in range(r.choice([0, 0, 1, 2, 3, 4, 6])):
        p = {'vendor_id': r.choice(['8086', '10de', '15B3', '15b3']), 'product_id': r.choice(['1520', '1521', 'ABCD', 'abcd']),
             'numa_node': r.choice([0, 0, 1, 1, 2, 3, None, None]), 'count': r.choice([0, 1, 1, 2, 3, 4, 8])}
        if r.random() < 0.7:
            p['dev_type'] = r.choice(['type-PCI', 'type-PF', 'type-VF', 'type-VF', 'vdpa'])
        tags = {}
        for name, values in (('physical_network', ['physnet0', None]), ('live_migratable', ['true', 'false', 'True']),
                             ('remote_managed', ['true', 'false', 'no']), ('address', ['0000:81:00.0', '0000:82:00.0']),
                             ('capability_type', ['pci', 'PCI'])):
            if r.random() < 0.2:
                tags[name] = r.choice(values)
        if tags or r.random() < 0.2:
            p['tags'] = tags
        out.append(p)
    return out


def aliases(r):
    out = []
    for name in ('a1', 'a2', 'a3'):
        policy = r.choice([None, 'required', 'preferred', 'legacy', 'socket'])
        dev_type = r.choice([None, None, 'type-PCI', 'type-PF', 'type-VF'])
        for _ in range(r.choice([1, 1, 1, 2])):
            a = {'name': name, 'vendor_id': r.choice(['8086', '10de', '15b3', '15B3']),
                 'product_id': r.choice(['1520', '1521', 'abcd', 'AbCd'])}
            if policy:
                a['numa_policy'] = policy
            if dev_type:
                a['device_type'] = dev_type
            if r.random() < 0.2:
                a['live_migratable'] = r.choice(['true', 'yes', 'false', 'No'])
            if r.random() < 0.03:
                a['capability_type'] = 'pci'
            if r.random() < 0.03:
                a['resource_class'] = 'CUSTOM_A'
            out.append(json.dumps(a))
            if not dev_type and r.random() < 0.95:
                break
    return out


def request(r, wild):
    vcpus = r.choice([1, 2, 2, 3, 4, 4, 6, 8])
    memory = r.choice([256, 512, 1024, 1024, 2048, 3072, 4096, 1000])
    extra, image = {}, {}

    def either(key, values, p, q=0.1):
        if r.random() < p:
            extra['hw:' + key] = r.choice(values)
        if r.random() < q:
            image['hw_' + key] = r.choice(values)
    nodes = r.choice([1, 1, 2, 2, 2, 3, 4])
    if r.random() < 0.75:
        extra['hw:numa_nodes'] = str(nodes)
        if r.random() < 0.8:
            vcpus, memory = nodes * r.choice([1, 1, 2, 3]), nodes * r.choice([256, 512, 1024, 100])
        if r.random() < 0.3:
            cuts = sorted(r.randint(0, vcpus) for _ in range(nodes - 1))
            cpus = list(range(vcpus))
            if r.random() < 0.3:
                r.shuffle(cpus)
            left = memory
            for n, (a, b) in enumerate(zip([0] + cuts, cuts + [vcpus])):
                extra['hw:numa_cpus.%d' % n] = ','.join(str(c) for c in cpus[a:b])
                m = left if n == nodes - 1 else r.choice([0, left // 2, left // 4])
                extra['hw:numa_mem.%d' % n] = str(m)
                left -= m
    elif r.random() < 0.2:
        image['hw_numa_nodes'] = str(nodes)
    policy = r.choice([None, None, 'shared', 'dedicated', 'dedicated', 'dedicated', 'mixed'])
    if policy:
        extra['hw:cpu_policy'] = policy
        if policy == 'mixed':
            extra['hw:cpu_dedicated_mask'] = r.choice(['^0', '1', '0', '0-1', '^0-1', '1-2,^2'])
        if policy != 'shared':
            either('cpu_thread_policy', ['prefer', 'isolate', 'require', 'require'], 0.5, 0.1 if wild else 0.02)
            if r.random() < 0.25:
                extra['hw:emulator_threads_policy'] = r.choice(['share', 'isolate', 'isolate'])
    either('mem_page_size', ['small', 'large', 'any', 'any', '4', '2048', '64', '2MB', '1GB', '16384', '1048576'], 0.35,
           0.1 if wild else 0.02)
    if r.random() < 0.4:
        extra['pci_passthrough:alias'] = ', '.join(
            '%s:%d' % (r.choice(['a1', 'a2', 'a3']), r.choice([1, 1, 1, 2, 3, 0])) for _ in range(r.choice([1, 1, 2, 3])))
    either('pci_numa_affinity_policy', ['required', 'preferred', 'legacy', 'socket'], 0.2, 0.05)
    if wild:
        wilder(r, extra, image, vcpus)
    return vcpus, memory, extra, image


def wilder(r, extra, image, vcpus):
    """What the API often refuses."""
    for key, values in (
            ('hw:cpu_policy', ['dedicated', 'mixed', 'shared', 'bogus', '']),
            ('hw:cpu_thread_policy', ['prefer', 'isolate', 'require', 'bogus']),
            ('hw:emulator_threads_policy', ['share', 'isolate', 'bogus']),
            ('hw:cpu_realtime', ['yes', 'no', 'true', '1']),
            ('hw:cpu_realtime_mask', ['^0', '0-1', '1', '^0-99', '5-', '']),
            ('hw:cpu_dedicated_mask', ['^0', '0-1', '0-99', '^0-99', 'x', ' ^1 ', '0-3,^1', '3-1']),
            ('resources:VCPU', ['1', '0', 'x']), ('resources:PCPU', [str(vcpus), str(vcpus + 1), '0']),
            ('resources1:PCPU', [str(vcpus)]), ('resources0:PCPU', ['9']),
            ('trait:HW_CPU_HYPERTHREADING', ['required', 'forbidden', 'x', '']),
            ('trait2:HW_CPU_HYPERTHREADING', ['forbidden']),
            ('hw:numa_nodes', ['0', '-1', ' 2', 'two', '02', '1', '', '5']),
            ('hw:numa_cpus.0', ['0', '0-1', '', '0,0', '9', '+0', '1_0', ' 0 - 1 ', '^0,0-1', '0-']),
            ('hw:numa_mem.0', ['512', '1024', ' 512 ', 'x', '1_024']),
            ('hw:numa_cpus.1', ['1', '2-3']), ('hw:numa_mem.1', ['512', '0']),
            ('hw:mem_page_size', ['2', '2M', '2MiB', '1.5GB', '.5KB', '100b', '0', '-2MB', '-1024B', '8bit', '1KB', '5iB', '1500B', 'x', '']),
            ('hw:pmem', ['4GB', ' , ', 'a,b']), ('hw:locked_memory', ['true', 'false', 'x']),
            ('pci_passthrough:alias', ['a1', 'a1:', 'a9:1', 'a1:x', ' a1 : 1 ', 'a1:1:1', '', 'a1:1_0', 'a1:1,']),
            ('hw:pci_numa_affinity_policy', ['bogus', ''])):
        if r.random() < 0.06:
            extra[key] = r.choice(values)
    for key, values in (
            ('hw_cpu_policy', ['dedicated', 'mixed', 'shared']), ('hw_cpu_thread_policy', ['prefer', 'isolate', 'require']),
            ('hw_numa_nodes', ['1', '2']), ('hw_numa_cpus.0', ['0', '0-1']), ('hw_numa_mem.0', ['512', '1024']),
            ('hw_numa_cpus.1', ['1', '2-3']), ('hw_numa_mem.1', ['512']), ('hw_mem_page_size', ['any', '4', '2MB']),
            ('hw_cpu_realtime_mask', ['^0', '1']), ('hw_locked_memory', ['True', 'False']),
            ('trait:HW_CPU_HYPERTHREADING', ['required', 'x'])):
        if r.random() < 0.04:
            image[key] = r.choice(values)


def alike(r, docs):
    """Lets most of the devices be of one kind, so that policies decide."""
    for d in docs:
        if r.random() < 0.9:
            d['vendor_id'], d['product_id'] = '8086', '1520'
        for key in ('device_type', 'dev_type'):
            if d.get(key) not in (None, 'type-VF') and r.random() < 0.6:
                del d[key]
    return docs


def roomy(r, doc):
    """Lets a host have what is asked for, but for one thing perhaps."""
    for c in doc['cells']:
        if r.random() < 0.9:
            c['memory'], c['mempages'] = 65536, []
            for size in r.choice([[4], [4, 2048], [2048, 4], [2048], [64, 16384, 4]]):
                c['mempages'].append({'size_kb': size, 'total': 32768 * 1024 // size, 'used': r.choice([0, 32767 * 1024 // size])})
            c.pop('memory_usage', None)
        if r.random() < 0.7:
            c.pop('cpu_usage', None)
        cpus = [n for core in c['siblings'] for n in core]
        if r.random() < 0.7:
            c['cpuset'], c['pcpuset'] = list(cpus), list(cpus)
            c['pinned_cpus'] = r.choice([[], [], r.sample(cpus, len(cpus) // 3), r.sample(cpus, len(cpus) // 2)])
    return doc


def case(seed):
    r = random.Random(seed)
    focus = r.choice(['any', 'any', 'devices', 'cpus', 'pages'])
    vcpus, memory, extra, image = request(r, focus == 'any' and r.random() < 0.5)
    numa, devices, names = host(r), pools(r), aliases(r)
    if focus != 'any':
        if numa and numa['cells']:
            roomy(r, numa)
        memory = len([k for k in extra if k.startswith('hw:numa_mem')] or range(int(extra.get('hw:numa_nodes', '1'))))
        memory *= 256
        for key in [k for k in extra if k.startswith('hw:numa_mem')]:
            extra[key] = '256'
    if focus == 'devices':
        extra['pci_passthrough:alias'] = ','.join('a%d:%d' % (r.randint(1, 3), r.choice([1, 1, 2, 3])) for _ in range(r.randint(1, 3)))
        extra.pop('hw:cpu_thread_policy', None)
        while len(devices) < 3:
            devices = pools(r)
        alike(r, devices)
        names = [json.dumps(a) for a in alike(r, [json.loads(a) for a in names])]
    elif focus == 'cpus':
        extra['hw:cpu_policy'] = 'dedicated'
        extra.pop('hw:cpu_dedicated_mask', None)
        extra['hw:cpu_thread_policy'] = r.choice(['prefer', 'isolate', 'isolate', 'require'])
        if r.random() < 0.5:
            extra['hw:emulator_threads_policy'] = 'isolate'
        extra.pop('hw:mem_page_size', None)
    elif focus == 'pages':
        extra['hw:mem_page_size'] = r.choice(['small', 'large', 'large', 'any', '2048'])
    return {
        'seed': seed, 'numa': numa, 'pools': devices, 'aliases': names, 'pack': r.random() < 0.2,
        'cpu_ratio': r.choice([1.0, 1.5, 4.0, 16.0, 0.5]), 'ram_ratio': r.choice([1.0, 1.0, 1.5, 0.7]),
        'vcpus': vcpus, 'memory': memory, 'extra': extra, 'image': image, 'instances': r.choice([1, 1, 2, 3, 5]),
        'filtered': r.random() < 0.85,
    }


def ports(r, c):
    """Asks for devices of ports, and lets devices be what ports ask for."""
    while len(c['pools']) < 3:
        c['pools'] = pools(r)
    if r.random() < 0.6:
        c['extra'].pop('pci_passthrough:alias', None)
    for p in alike(r, c['pools']):
        p['count'] = max(p['count'], r.choice([0, 1, 4]))
        tags = p.setdefault('tags', {})
        for name, values in (('physical_network', ['a', 'a', 'a', 'A', 'B', None]), ('remote_managed', ['false', 'false', 'False', 'true', None]),
                             ('trusted', ['true', 'True', 'false'])):
            if r.random() < 0.85:
                tags[name] = r.choice(values)
        if p.get('dev_type') == 'type-PCI':
            p['dev_type'] = 'type-VF'
        if p['numa_node'] and r.random() < 0.5:
            p['numa_node'] = r.choice([0, 1])
    c['ports'] = []
    for n in range(r.choice([1, 1, 2, 3])):
        specs = []
        for _ in range(r.choice([1, 1, 1, 1, 2, 0])):
            s = {'physical_network': r.choice(['a', 'a', 'a', 'A', 'b', None]), 'remote_managed': r.choice(['False'] * 5 + ['True'])}
            for name, values, p in (('dev_type', ['type-PF', 'vdpa', 'type-VF', None], 0.2), ('trusted', ['True', 'False'], 0.2),
                                    ('vendor_id', ['8086', '10DE'], 0.1), ('live_migratable', ['true', 'false', 'True'], 0.1),
                                    ('resource_class', ['CUSTOM_A'], 0.05)):
                if r.random() < p:
                    s[name] = r.choice(values)
            for name in list(s):
                if r.random() < 0.2:
                    del s[name]
            specs.append(s)
        c['ports'].append({'requester': 'port%d' % n, 'count': r.choice([1, 1, 1, 1, 2, 0]), 'specs': specs,
                           'policy': r.choice([None, 'required', 'preferred', 'legacy', 'socket'])})
    return c


# Answers.

def numa_object(doc):
    if doc is None:
        return None
    cells = []
    for c in doc['cells']:
        cells.append(objects.NUMACell(
            id=c['id'], cpuset=set(c.get('cpuset', [])), pcpuset=set(c.get('pcpuset', [])), memory=c['memory'],
            cpu_usage=c.get('cpu_usage', 0), memory_usage=c.get('memory_usage', 0), pinned_cpus=set(c.get('pinned_cpus', [])),
            siblings=[set(s) for s in c['siblings']], socket=c.get('socket'),
            mempages=[objects.NUMAPagesTopology(size_kb=p['size_kb'], total=p['total'], used=p.get('used', 0),
                                                reserved=p.get('reserved', 0)) for p in c['mempages']]))
    return objects.NUMATopology(cells=cells)


def pool_objects(doc):
    flat = []
    for p in doc:
        p = dict(p)
        p.update(p.pop('tags', {}))
        flat.append(p)
    return objects.PciDevicePoolList(objects=[objects.PciDevicePool.from_dict(p) for p in flat])


def instance_answer(topology):
    if topology is None:
        return None
    return [{'id': c.id, 'cpus': sorted(c.cpuset), 'pcpus': sorted(c.pcpuset), 'memory': c.memory, 'page': c.pagesize or 0,
             'policy': c.cpu_policy or '', 'threads': c.cpu_thread_policy or '',
             'pins': sorted((c.cpu_pinning or {}).items()), 'reserved': sorted(c.cpuset_reserved or [])}
            for c in topology.cells]


def host_answer(state):
    cells = None
    if state.numa_topology is not None:
        cells = [{'pinned': sorted(c.pinned_cpus), 'cpu': c.cpu_usage, 'memory': c.memory_usage,
                  'used': [p.used for p in c.mempages]} for c in state.numa_topology.cells]
    return cells, [p['count'] for p in state.pci_stats.pools]


def passes(f, state, spec):
    try:
        state.allocation_candidates = [{'mappings': {}}]
        return bool(f.host_passes(state, spec))
    except Exception:
        return 'raises'


def answer(c):
    CONF.set_override('alias', c['aliases'], group='pci')
    CONF.set_override('packing_host_numa_cells_allocation_strategy', c['pack'], group='compute')
    pci_request.get_alias_from_config.cache_clear()
    try:
        pci_request.get_alias_from_config()  # Nova itself waits until an alias is asked for
        flavor = objects.Flavor(vcpus=c['vcpus'], memory_mb=c['memory'], root_gb=0, ephemeral_gb=0, swap=0, name='f',
                                extra_specs=dict(c['extra']))
        image = objects.ImageMeta.from_dict({'properties': dict(c['image'])})
        topology = hardware.numa_get_constraints(flavor, image)
        policy = hardware.get_pci_numa_policy_constraint(flavor, image)
        requests = pci_request.get_pci_requests_from_flavor(flavor, affinity_policy=policy)
    except Exception as e:
        return {'refused': type(e).__name__}
    for p in c.get('ports', []):
        requests.requests.append(objects.InstancePCIRequest(
            count=p['count'], spec=p['specs'], alias_name=None, request_id=uuidutils.generate_uuid(),
            requester_id=p['requester'], **({} if p['policy'] is None else {'numa_policy': p['policy']})))
    spec = objects.RequestSpec(flavor=flavor, image=image, numa_topology=topology, pci_requests=requests,
                               requested_resources=[], instance_uuid='f0c9b7a9-1d7c-4a3e-9a4b-111111111111')
    spec.obj_reset_changes()
    state = host_manager.HostState('h', 'n', None)
    state.cpu_allocation_ratio, state.ram_allocation_ratio = c['cpu_ratio'], c['ram_ratio']
    state.free_ram_mb = state.free_disk_mb = state.vcpus_used = 0
    state.numa_topology = numa_object(c['numa'])
    state.pci_stats = pci_stats.PciDeviceStats(state.numa_topology, pool_objects(c['pools']))
    numa, pci = numa_topology_filter.NUMATopologyFilter(), pci_passthrough_filter.PciPassthroughFilter()
    out = {'asked': instance_answer(topology), 'emulator': topology.emulator_threads_policy or '' if topology else '', 'steps': []}
    for _ in range(c['instances']):
        before = state.limits.get('numa_topology')
        step = {'numa': passes(numa, state, spec), 'pci': passes(pci, state, spec)}
        if not c['filtered']:
            state.limits.pop('numa_topology', None)
            if before:
                state.limits['numa_topology'] = before
        elif step['numa'] is not True and 'numa_topology' not in state.limits:
            # The library's caller says whether limits count, Nova's filter whether it passed.
            state.limits['numa_topology'] = objects.NUMATopologyLimits(
                cpu_allocation_ratio=c['cpu_ratio'], ram_allocation_ratio=c['ram_ratio'])
        try:
            state._locked_consume_from_request(spec)
            step['error'] = False
        except Exception:
            step['error'] = True
        step['placed'] = instance_answer(spec.numa_topology)
        step['cells'], step['pools'] = host_answer(state)
        out['steps'].append(step)
    return out


def main():
    seed, count = int(sys.argv[1]), int(sys.argv[2])
    for s in range(seed, seed + count):
        c = case(s)
        if sys.argv[3:] == ['ports']:
            c = ports(random.Random(s), c)
        c['want'] = answer(c)
        print(json.dumps(c, separators=(',', ':')))


if __name__ == '__main__':
    main()
