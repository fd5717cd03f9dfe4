"""What Nova itself decides for the documents of `kilonova schedule`.

Reads documents, one a line, and writes for each what Nova's SchedulerManager
answers. Only what surrounds the scheduler is replaced: the database that host
states come from, and Placement, whose claims always succeed. Which Nova it is
depends on PYTHONPATH: newest sources, or Debian's python3-nova.

Instead of an answer a line may hold {"excuse": why}: Nova's API refuses such
a request, or what Nova does depends on chance. A time is frozen, so that
hosts that reported "60 seconds ago" did so exactly.
"""

import contextlib
import datetime
import json
import logging
import os
import sys
import warnings

os.environ['OS_NOVA_DISABLE_EVENTLET_PATCHING'] = '1'

import shims  # noqa: E402,F401  before anything of nova

from oslo_utils import timeutils  # noqa: E402

import nova.conf  # noqa: E402
from nova import context as nova_context  # noqa: E402
from nova import exception  # noqa: E402
from nova import objects  # noqa: E402
from nova.pci import request as pci_request  # noqa: E402
from nova.scheduler import filters  # noqa: E402
from nova.scheduler.filters import utils as filter_utils  # noqa: E402
from nova.scheduler import host_manager  # noqa: E402
from nova.scheduler import manager  # noqa: E402
from nova.scheduler import utils  # noqa: E402
from nova.scheduler import weights  # noqa: E402
import nova.weights  # noqa: E402
from nova.virt import hardware  # noqa: E402

objects.register_all()
logging.disable(logging.CRITICAL)
warnings.simplefilter('ignore', FutureWarning)  # IDs that are no UUIDs
CONF = nova.conf.CONF
CONF([], project='nova', default_config_files=[])
NOW = datetime.datetime(2026, 1, 1, 12, 0, 0)
ONE_CELL = '00000000-0000-0000-0000-00000000ce11'
NEWEST = hasattr(host_manager.HostState('h', 'h', ONE_CELL),
                 'allocation_candidates')


class Excuse(Exception):
    """There is no answer to compare with."""


# What surrounds the scheduler.

def _claimed(*args, **kwargs):
    return True


@contextlib.contextmanager
def _same_cell(context, cell_mapping):
    yield context


def _filled(instances):
    pass


def _cell(context, uuid):
    return objects.CellMapping(uuid=uuid)


class OrderedSet(set):
    """A set whose order of iteration is fixed: numbers first, or last.

    Which comes first decides whether a comparison of numbers finds one that
    matches before it meets a text and raises; no other order does more.
    """

    reverse = False

    def __iter__(self):
        return iter(sorted(set.__iter__(self), key=_numbers_first,
                           reverse=self.reverse))


def _numbers_first(text):
    try:
        float(text)
    except ValueError:
        return (1, text)
    return (0, text)


_metadata_by_host = filter_utils.aggregate_metadata_get_by_host


def _ordered_metadata(*args, **kwargs):
    found = _metadata_by_host(*args, **kwargs)
    for key, values in list(found.items()):
        found[key] = OrderedSet(values)
    return found


utils.claim_resources = _claimed
filter_utils.aggregate_metadata_get_by_host = _ordered_metadata
nova_context.target_cell = _same_cell
objects.CellMapping.get_by_uuid = staticmethod(_cell)
objects.InstanceList.fill_metadata = _filled
timeutils.set_time_override(NOW)


# The input.

def compute_node(h):
    """The record that a compute service writes."""
    topology = h.get('numa_topology')
    return objects.ComputeNode(
        uuid=h['uuid'], host=h['host'],
        hypervisor_hostname='', hypervisor_type='', hypervisor_version=0,
        memory_mb=h.get('total_usable_ram_mb', 0),
        free_ram_mb=h.get('free_ram_mb', 0),
        local_gb=0, local_gb_used=0, free_disk_gb=0,
        disk_available_least=None,
        vcpus=h.get('vcpus_total', 0), vcpus_used=h.get('vcpus_used', 0),
        host_ip=h.get('host_ip'),
        supported_hv_specs=[objects.HVSpec.from_list(s)
                            for s in h.get('supported_instances') or []],
        stats={}, cpu_info='',
        metrics=json.dumps([
            {'name': m['name'], 'value': m['value'], 'source': 'judge',
             'timestamp': '2026-01-01T00:00:00Z'}
            for m in h.get('metrics') or []]),
        cpu_allocation_ratio=h.get('cpu_allocation_ratio', 4.0),
        ram_allocation_ratio=h.get('ram_allocation_ratio', 1.0),
        disk_allocation_ratio=h.get('disk_allocation_ratio', 1.0),
        numa_topology=numa(topology)._to_json() if topology else None,
        pci_device_pools=objects.PciDevicePoolList(
            objects=[pool(p) for p in h.get('pci_pools') or []]),
        updated_at=None)


def networks(n):
    return objects.NetworkMetadata(physnets=set(n.get('physnets') or []),
                                   tunneled=n.get('tunneled', False))


def cell_networks(c):
    n = c.get('network_metadata')
    return {} if n is None else {'network_metadata': networks(n)}


def numa(topology):
    return objects.NUMATopology(cells=[objects.NUMACell(
        id=c['id'],
        cpuset=set(c.get('cpuset') or []), pcpuset=set(c.get('pcpuset') or []),
        memory=c['memory'],
        cpu_usage=c.get('cpu_usage', 0), memory_usage=c.get('memory_usage', 0),
        pinned_cpus=set(c.get('pinned_cpus') or []),
        siblings=[set(s) for s in c.get('siblings') or []],
        socket=c.get('socket'),
        mempages=[objects.NUMAPagesTopology(
            size_kb=p['size_kb'], total=p['total'], used=p.get('used', 0),
            reserved=p.get('reserved', 0)) for p in c.get('mempages') or []],
        **cell_networks(c))
        for c in topology['cells']])


def pool(p):
    tags = dict(p.get('tags') or {})
    if 'dev_type' in p:
        tags['dev_type'] = p['dev_type']
    return objects.PciDevicePool(
        vendor_id=p['vendor_id'], product_id=p['product_id'],
        numa_node=p.get('numa_node'), count=p['count'], tags=tags)


def service(h):
    s = h.get('service') or {}
    seen = NOW - datetime.timedelta(seconds=s.get('seconds_since_report', 0))
    return dict(objects.Service(
        host=h['host'], binary='nova-compute', topic='compute',
        disabled=s.get('disabled', False),
        forced_down=s.get('forced_down', False),
        created_at=NOW, last_seen_up=seen))


def instances(h):
    images = h.get('instance_images') or {}
    return {uuid: objects.Instance(uuid=uuid, image_ref='', system_metadata={
        'image_' + k: v for k, v in images.get(uuid, {}).items()})
        for uuid in h.get('instances') or []}


def host_state(h):
    state = host_manager.HostState(
        h['host'], h.get('nodename', h['host']), h.get('cell_uuid', ONE_CELL))
    state.update(
        compute_node(h), service(h),
        [objects.Aggregate(id=a['id'], name=a.get('name', ''),
                           uuid=a.get('uuid', ONE_CELL),
                           metadata=dict(a.get('metadata') or {}))
         for a in h.get('aggregates') or []],
        instances(h))
    # What the document gives in another unit or form than the record.
    state.hypervisor_type = h.get('hypervisor_type')
    state.hypervisor_version = h.get('hypervisor_version')
    state.hypervisor_hostname = h.get('hypervisor_hostname')
    state.disk_mb_used = h.get('disk_mb_used', 0)
    state.free_disk_mb = h.get('free_disk_mb', 0)
    state.cpu_info = h.get('cpu_info', {})
    state.stats = h.get('stats') or {}
    state.num_instances = h.get('num_instances', 0)
    state.num_io_ops = h.get('num_io_ops', 0)
    state.failed_builds = h.get('failed_builds', 0)
    return state


def image(i):
    if i is None:
        return None
    meta = {'properties': i.get('properties') or {}}
    if 'id' in i:
        meta['id'] = i['id']
    return objects.ImageMeta.from_dict(meta)


def flavor(f):
    return objects.Flavor(
        id=1, flavorid='1', name=f.get('name', ''), vcpus=f.get('vcpus', 0),
        memory_mb=f.get('memory_mb', 0), root_gb=f.get('root_gb', 0),
        ephemeral_gb=f.get('ephemeral_gb', 0), swap=f.get('swap', 0),
        rxtx_factor=1.0, vcpu_weight=0, disabled=False, is_public=True,
        extra_specs=dict(f.get('extra_specs') or {}))


def group(g):
    if g is None:
        return None
    rules = {k: str(v) for k, v in (g.get('rules') or {}).items()}
    return objects.InstanceGroup(
        uuid=ONE_CELL, policy=g.get('policy'), _rules=rules,
        policies=[g['policy']] if g.get('policy') else [],
        hosts=list(g.get('hosts') or []), members=list(g.get('members') or []))


def destination(d):
    if d is None:
        return None
    to = objects.Destination()
    for key in ('host', 'node', 'allow_cross_cell_move'):
        if key in d:
            setattr(to, key, d[key])
    if 'host' in d and 'node' not in d:
        to.node = None
    if d.get('cell_uuid'):
        to.cell = objects.CellMapping(uuid=d['cell_uuid'])
    return to


def placed():
    """Whether PCI devices are placement's; Nova 26.2 has no such option."""
    return getattr(CONF.filter_scheduler, 'pci_in_placement', False)


def request_spec(s):
    """The spec as Nova's API would make it of flavor, image and hints."""
    try:
        fl, im = flavor(s['flavor']), image(s['image'])
        meta = im or objects.ImageMeta.from_dict({})
        topology = hardware.numa_get_constraints(fl, meta)
        pci = pci_request.get_pci_requests_from_flavor(
            fl, affinity_policy=hardware.get_pci_numa_policy_constraint(
                fl, meta))
    except Exception as e:
        raise Excuse('the API refuses it: %s' % type(e).__name__)
    if placed():
        for n, r in enumerate(pci.requests):
            r.request_id = 'pci%d' % n
    for n, r in enumerate(s.get('pci_requests') or ()):
        pci.requests.append(objects.InstancePCIRequest(
            count=r.get('count', 1), spec=r['spec'], alias_name=None,
            request_id='port%d' % n, requester_id=r.get('requester_id'),
            **({} if r.get('numa_policy') is None
               else {'numa_policy': r['numa_policy']})))
    near = s.get('network_metadata')
    return objects.RequestSpec(
        **({} if near is None else {'network_metadata': networks(near)}),
        flavor=fl, image=im, numa_topology=topology, pci_requests=pci,
        project_id=s.get('project_id'), user_id=s.get('user_id'),
        availability_zone=s.get('availability_zone'),
        scheduler_hints={k: list(v) for k, v in
                         (s.get('scheduler_hints') or {}).items()},
        ignore_hosts=s.get('ignore_hosts'),
        force_hosts=s.get('force_hosts'), force_nodes=s.get('force_nodes'),
        requested_destination=destination(s.get('requested_destination')),
        instance_group=group(s.get('instance_group')),
        num_instances=len(s['instance_uuids']), requested_resources=[],
        limits=objects.SchedulerLimits(), retry=None)


@contextlib.contextmanager
def configured(options):
    """Nova's options as a document sets them."""
    done = []
    try:
        for key, value in options.items():
            section, name = key.split('.', 1)
            section = None if section == 'DEFAULT' else section
            CONF.set_override(name, value, section)
            done.append((name, section))
        if NEWEST:
            pci_request.get_alias_from_config.cache_clear()
        yield
    finally:
        for name, section in done:
            CONF.clear_override(name, section)
        CONF.clear_override('service_down_time')


# The run.

class Filters(filters.HostFilterHandler):
    """Takes down what the filters of the first instance did."""

    __module__ = filters.__name__  # where Nova looks for filters
    seen = None

    def get_filtered_objects(self, chosen, objs, spec_obj, index=0):
        if self.seen is not None:
            return super().get_filtered_objects(chosen, objs, spec_obj, index)
        self.seen = []
        return super().get_filtered_objects(
            [self.Seen(self, f) for f in chosen], objs, spec_obj, index)

    class Seen:
        def __init__(self, handler, wrapped):
            self.handler, self.wrapped = handler, wrapped
            self.run_filter_for_index = wrapped.run_filter_for_index

        def filter_all(self, objs, spec_obj):
            before = list(objs)
            after = list(self.wrapped.filter_all(before, spec_obj))
            self.handler.seen.append({
                'name': type(self.wrapped).__name__,
                'before': len(before), 'after': len(after),
                'rejected': sorted({h.host for h in before
                                    if h not in after})})
            return after


class Weights(weights.HostWeightHandler):
    """Takes down what the weighers of the first instance did."""

    __module__ = weights.__name__  # where Nova looks for weighers
    seen = None

    def get_weighed_objects(self, weighers, obj_list, properties):
        if self.seen is not None:
            return super().get_weighed_objects(weighers, obj_list, properties)
        rows = {}
        self.seen = []
        wrapped = [self.Seen(w, rows) for w in weighers]
        sorted_hosts = super().get_weighed_objects(
            wrapped, obj_list, properties)
        for w in sorted_hosts:
            self.seen.append({
                'host': w.obj.host, 'total': w.weight,
                'weighers': rows.get(w.obj, {})})
        return sorted_hosts

    class Seen:
        def __init__(self, wrapped, rows):
            self.wrapped, self.rows = wrapped, rows
            self.minval, self.maxval = wrapped.minval, wrapped.maxval

        def weigh_objects(self, objs, properties):
            raw = list(self.wrapped.weigh_objects(objs, properties))
            # As the handler normalises them, from the same function.
            normal = list(nova.weights.normalize(
                raw, minval=self.minval, maxval=self.maxval))
            for o, r, n in zip(objs, raw, normal):
                self.rows.setdefault(o.obj, {})[self.name()] = {
                    'raw': r, 'normalized': n}
            return raw

        def weight_multiplier(self, state):
            by = self.wrapped.weight_multiplier(state)
            row = self.rows[state][self.name()]
            row['weighted'] = by * row['normalized']
            return by

        def name(self):
            return type(self.wrapped).__name__


class HostManager(host_manager.HostManager):
    """Nova's, with filters and weighers but without cells."""

    def __init__(self):
        self.filter_handler = Filters()
        found = self.filter_handler.get_matching_classes(
            CONF.filter_scheduler.available_filters)
        self.filter_cls_map = {c.__name__: c for c in found}
        self.filter_obj_map = {}
        self.enabled_filters = self._choose_host_filters(
            self._load_filters())
        self.weight_handler = Weights()
        self.weighers = [c() for c in self._weigher_classes()]

    def _weigher_classes(self):
        # Nova finds all_weighers in the order of a directory on disk.
        classes = []
        for name in CONF.filter_scheduler.weight_classes:
            try:
                found = self.weight_handler.get_matching_classes([name])
            except ImportError:
                raise Excuse('this Nova has no ' + name)
            classes += sorted(
                found, key=lambda c: (c.__module__, c.__name__))
        return classes


class SchedulerManager(manager.SchedulerManager):
    """Nova's, with given host states."""

    placement_client = None

    def __init__(self, states):
        self.states = states
        self.host_manager = HostManager()

    def _get_all_host_states(self, context, spec_obj, provider_summaries):
        return iter(self.states)

    def _cleanup_allocations(self, context, instance_uuids):
        pass


def answer(document):
    s = document['spec']
    with configured(document.get('config') or {}):
        states = [host_state(h) for h in document['hosts']]
        spec = request_spec(s)
        m = SchedulerManager(states)
        if placed():
            spec.generate_request_groups_from_pci_requests()
            groups = {g.requester_id for g in spec.requested_resources}
            for h in document['hosts']:
                found = h.get('allocation_candidates') or [{'mappings': {}}]
                if any(set(c['mappings']) != groups | {''} for c in found):
                    raise Excuse('candidates that placement has not')
        requests = None
        if not utils.request_is_rebuild(spec):
            requests = {
                h['uuid']: [{'allocations': {h['uuid']: {'resources': {}}},
                             'mappings': c['mappings']}
                            for c in h.get('allocation_candidates')
                            or [{'mappings': {'': [h['uuid']]}}]]
                for h in document['hosts']}
        error, selected = None, []
        try:
            selected = m._schedule(
                nova_context.get_admin_context(), spec, s['instance_uuids'],
                requests, {}, '1.36', return_alternates=True)
        except exception.NoValidHost:
            error = {'code': 'NoValidHost'}
        except exception.OrphanedObjectError:
            raise Excuse('image weigher, group and several instances')
        except Exception as e:
            error = {'code': 'SchedulerError', 'message': repr(e)}
    return {
        'selected': [{'instance': uuid, 'host': c[0].service_host,
                      'alternates': [a.service_host for a in c[1:]]}
                     for uuid, c in zip(s['instance_uuids'], selected)],
        'filters': m.host_manager.filter_handler.seen or [],
        'weights': m.host_manager.weight_handler.seen or [],
        'error': error}


def older(document):
    """Raises Excuse where Nova 26.2.2 is known to decide otherwise."""
    spec, hosts = document['spec'], document['hosts']
    if 'pci_in_placement' in json.dumps(document.get('config')):
        raise Excuse('candidates of a host')
    if 'maxphysaddr' in json.dumps(spec):
        raise Excuse('maxphysaddr bits')
    extra = json.dumps([spec['flavor'].get('extra_specs'), spec['image']])
    if (('dedicated' in extra or 'mixed' in extra)
            and 'mem_page_size' not in extra):
        raise Excuse('free memory of pinned instances')
    if any(k.startswith('filter_tenant_id') and k != 'filter_tenant_id'
           for h in hosts for a in h.get('aggregates') or []
           for k in a['metadata']):
        raise Excuse('suffixes of filter_tenant_id')
    properties = (spec['image'] or {}).get('properties', {})
    if any(k in properties for k in
           ('img_hv_requested_version', 'hypervisor_version_requires')):
        raise Excuse('versions of hypervisors')


def without_message(found):
    return dict(found, error=found['error'] and found['error']['code'])


def judge(document):
    try:
        if not NEWEST:
            older(document)
        answers = []
        for OrderedSet.reverse in (False, True):
            answers.append(answer(document))
        if without_message(answers[0]) != without_message(answers[1]):
            raise Excuse('the order of a set')
        return answers[0]
    except Excuse as e:
        return {'excuse': str(e)}
    except (KeyError, TypeError, ValueError, AttributeError) as e:
        return {'excuse': 'not a document: %r' % e}


def main():
    for line in sys.stdin:
        print(json.dumps(judge(json.loads(line))), flush=True)


if __name__ == '__main__':
    main()
