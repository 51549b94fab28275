/**
 * The names of all keys; README.md says what is in them. What stands in braces is the hash tag, by which a Redis Cluster chooses a
 * node: a segment's keys stay together, so that one script can write them, and segments spread. The prefix is inside the tag, so
 * that several stores in one cluster do not pile their segments onto the same few slots.
 */
export interface SegmentKeys {
  readonly state: string;
  readonly journal: string;
  readonly snapshots: string;
}

export interface MetaKeys {
  readonly meta: string;
  readonly owner: string;
}

export function metaKeys(prefix: string): MetaKeys {
  return { meta: `{${prefix}}:meta`, owner: `{${prefix}}:owner` };
}

export function segmentKeys(prefix: string, segment: number): SegmentKeys {
  const tag = `{${prefix}:${segment}}`;
  return { state: `${tag}:state`, journal: `${tag}:journal`, snapshots: `${tag}:snapshots` };
}

export function snapshotKey(prefix: string, segment: number, lsn: number, copy: number): string {
  return `{${prefix}:${segment}}:snapshot:${lsn}:${copy}`;
}
