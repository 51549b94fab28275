export type FamilyType = 'counter' | 'gauge' | 'histogram' | 'info';

/** What samples of one name have in common. */
export interface Family {
  /** Without the endings that its samples get: `_total` of a counter, `_bucket`, `_sum` and `_count` of a histogram, `_info`. */
  readonly name: string;
  readonly type: FamilyType;
  /** The name's last word where there is one. */
  readonly unit: '' | 'seconds' | 'bytes' | 'ratio';
  readonly labels: readonly string[];
  readonly help: string;
}

function family(type: FamilyType, name: string, labels: readonly string[], help: string): Family {
  const unit = (['seconds', 'bytes', 'ratio'] as const).find((word) => name.endsWith(`_${word}`)) ?? '';
  return { name, type, unit, labels, help };
}

const counter = family.bind(undefined, 'counter');
const gauge = family.bind(undefined, 'gauge');
const histogram = family.bind(undefined, 'histogram');

/** Everything that `GET /metrics` can answer. The README's table is made from it. */
export const FAMILIES = {
  build: family('info', 'holdfast_build', ['version', 'node', 'ack'], 'What runs; always 1.'),

  commands: counter(
    'holdfast_commands',
    ['source', 'op', 'status'],
    'Commands answered. Source http: commands that HTTP requests and scrapes became.',
  ),
  refusals: counter(
    'holdfast_refusals',
    ['layer'],
    'Commands refused for load or by a limit, by the layer of admission that refused.',
  ),
  turnedAway: counter(
    'holdfast_turned_away',
    ['reason'],
    'Connections, WebSockets and HTTP requests that were not let in: limits in all and by address, what is wrong with a handshake, a page that may not.',
  ),
  unreadable: counter(
    'holdfast_unreadable',
    ['reason'],
    'What a front could not read or route. Arguments that a worker finds wrong are counted as commands of status MALFORMED.',
  ),

  admissionMost: gauge(
    'holdfast_admission_limit',
    ['worker'],
    'Commands that may be under way at a worker, over all fronts: the lesser of the queue depth and the limit that its queue waits have found. +Inf where neither limits.',
  ),
  underWay: gauge(
    'holdfast_admission_under_way',
    ['worker'],
    'Commands that were admitted and are not answered.',
  ),
  breakers: gauge(
    'holdfast_breakers',
    ['guards', 'state'],
    'Circuit breakers that are not closed, over all fronts: of groups of SKUs (segments), and of ops.',
  ),
  breakersOpened: counter('holdfast_breakers_opened', ['guards'], 'How often a circuit breaker has opened.'),
  evictions: counter(
    'holdfast_admission_evictions',
    [],
    'Holders, addresses and SKUs whose limits were forgotten because the tables were full.',
  ),
  uncounted: counter(
    'holdfast_admission_uncounted',
    [],
    'Commands that were let through without being counted, because another front held their entry for too long.',
  ),
  connections: gauge('holdfast_connections', ['front'], 'WebSocket connections open now.'),
  accepted: counter('holdfast_connections_accepted', ['front'], 'WebSocket connections accepted.'),
  closed: counter(
    'holdfast_connections_closed',
    ['reason'],
    'Connections that the server closed: slow, a client that does not read; broken, one that sends nothing but broken frames.',
  ),
  messagesIn: counter('holdfast_messages_received', ['front'], 'WebSocket messages received.'),
  messagesOut: counter('holdfast_messages_sent', ['front'], 'WebSocket messages sent.'),
  bytesIn: counter('holdfast_received_bytes', ['front'], 'Payload of the messages received.'),
  bytesOut: counter('holdfast_sent_bytes', ['front'], 'Payload of the messages sent.'),

  stage: histogram(
    'holdfast_stage_seconds',
    ['stage', 'worker'],
    'Time that timed commands spent in a stage. A sample: one command in holdfast_stage_sampled_one_in is timed.',
  ),
  sampledOneIn: gauge('holdfast_stage_sampled_one_in', [], 'One command in so many is timed at present.'),
  queued: gauge(
    'holdfast_queue_commands',
    ['worker', 'lane'],
    'Commands in the rings of a worker that it has not answered.',
  ),
  unsent: gauge('holdfast_queue_replies', ['worker'], 'Replies in the rings of a worker that have not left.'),
  ringFill: gauge(
    'holdfast_ring_fill_ratio',
    ['worker', 'ring'],
    'How full a ring is, 0 to 1: the fullest of its kind of a worker. Rings of commands go by their lane: settle, vip, normal.',
  ),
  workerCommands: counter('holdfast_worker_commands', ['worker'], 'Commands that a worker thread ran.'),
  borrowed: counter(
    'holdfast_worker_borrowed_commands',
    ['worker'],
    'Commands that the front ran in place of a sleeping worker.',
  ),

  openHolds: gauge('holdfast_holds_open', [], 'Holds that are neither confirmed, released nor expired.'),
  expiring: gauge(
    'holdfast_holds_expiring',
    ['within'],
    'About how many open holds reach their deadline within so long: looked up once a second at most, among many a sample.',
  ),
  expired: counter('holdfast_holds_expired', ['worker'], 'Holds that reached their deadline.'),
  skus: gauge('holdfast_skus', [], 'SKUs known.'),
  keys: gauge('holdfast_keys', [], 'Idempotency keys kept.'),
  holders: gauge('holdfast_holders', [], 'Pairs of a holder and a SKU with a limit per holder.'),
  tableFill: gauge(
    'holdfast_table_fill_ratio',
    ['table'],
    'How full a table is in the segment where it is fullest, 0 to 1.',
  ),
  segments: gauge('holdfast_segments', ['state'], 'Segments in service, and fenced off after a death.'),

  skuUnits: gauge(
    'holdfast_sku_units',
    ['sku', 'state'],
    'Units of the SKUs that commands name most, at most metricsSkus of them: available, held and sold, which add up to the total.',
  ),
  skuShare: gauge(
    'holdfast_sku_share_ratio',
    ['sku'],
    'Share of a hot SKU among the commands that name one, lately, 0 to 1.',
  ),
  changes: counter('holdfast_changes', [], 'Changes of state since the store was made.'),
  durableChanges: counter('holdfast_durable_changes', [], 'Changes of state that are durable.'),
  lagChanges: gauge('holdfast_durable_lag_changes', [], 'Changes of state that are not durable yet.'),
  lagBytes: gauge(
    'holdfast_durable_lag_bytes',
    ['worker'],
    'Events in the ring of a worker that are not durable yet.',
  ),
  lagSeconds: gauge(
    'holdfast_durable_lag_seconds',
    [],
    'For how long the group of events at hand has been on its way to the store; 0 between groups.',
  ),
  groups: counter('holdfast_store_groups', [], 'Groups of events made durable.'),
  storeBytes: counter('holdfast_store_written_bytes', [], 'Events made durable, in bytes.'),
  journalBytes: gauge('holdfast_journal_bytes', [], 'Journal that a start would have to read.'),
  stalled: gauge('holdfast_store_stalled', [], '1 while the store stands still and changes are refused.'),
  stalls: counter('holdfast_store_stalls', [], 'How often the store stood still.'),
  snapshotAge: gauge(
    'holdfast_snapshot_age_seconds',
    [],
    'Time since a round of snapshots ended without a failure, or since the start when none has.',
  ),
  events: counter(
    'holdfast_server_events',
    ['event'],
    'Rare things, each of which the log tells in words: workers that died or stalled, snapshots that failed, trouble of the store.',
  ),

  threadBusy: counter('holdfast_thread_busy_seconds', ['thread'], 'Time that a thread had work.'),
  threadWait: counter(
    'holdfast_thread_store_wait_seconds',
    ['thread'],
    'Time that the storage thread waited for the disk or for Redis.',
  ),
  threadCpu: counter('holdfast_thread_cpu_seconds', ['thread'], 'CPU time of a thread.'),
  delay: histogram(
    'holdfast_loop_delay_seconds',
    ['thread'],
    'How long a thread could take nothing new: of a front, how late a timer of 20 ms came; of a worker, each turn that had work; of the storage thread, each group.',
  ),
  collections: counter('holdfast_gc_runs', ['thread', 'kind'], 'Garbage collections.'),
  collecting: counter('holdfast_gc_seconds', ['thread', 'kind'], 'Time that garbage collections took.'),
  heapUsed: gauge('holdfast_heap_used_bytes', ['thread'], 'Heap of a thread that is in use, once a second.'),
  heapSize: gauge('holdfast_heap_size_bytes', ['thread'], 'Heap of a thread, once a second.'),

  cpu: counter('process_cpu_seconds', [], 'CPU time of the process.'),
  memory: gauge('process_resident_memory_bytes', [], 'Memory of the process that is in RAM.'),
  descriptors: gauge('process_open_fds', [], 'Open file descriptors.'),
  frontSilent: gauge('holdfast_front_silent', ['front'], '1 while a front shows no sign of life.'),
  certificateUntil: gauge(
    'holdfast_certificate_expiry_timestamp_seconds',
    [],
    'When the time of the certificate is over, seconds since the epoch. Only with TLS.',
  ),
  startTime: gauge('process_start_time_seconds', [], 'Start of the process, seconds since the epoch.'),
} as const satisfies Record<string, Family>;

/** Name of a family's samples, as queries say it; a histogram has three, of which this is the stem. */
export function sampleName({ name, type }: Family): string {
  if (type === 'counter') return `${name}_total`;
  return type === 'info' ? `${name}_info` : name;
}
