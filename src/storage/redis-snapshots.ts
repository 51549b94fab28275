import { failpoint } from './failpoints.ts';
import { segmentKeys, snapshotKey } from './redis-keys.ts';
import { ANSWER_MS, type RedisLink } from './redis-link.ts';
import { REMOVE_SNAPSHOT, type RedisScript, WRITE_SNAPSHOT } from './redis-scripts.ts';
import { type SnapshotId, type SnapshotStore, type StoreAddress, StoreError } from './store.ts';

/** The longest value that Redis takes, less room for the command around it. */
export const MAX_SNAPSHOT_BYTES = 512 * 1024 * 1024 - 4096;

/** Snapshots as values of their own, and for each segment a sorted set of their LSNs. */
export class RedisSnapshots implements SnapshotStore {
  readonly #link: RedisLink;
  readonly #prefix: string;
  readonly #address: StoreAddress;

  constructor(link: RedisLink, prefix: string, address: StoreAddress) {
    this.#link = link;
    this.#prefix = prefix;
    this.#address = address;
  }

  async list(segment: number): Promise<SnapshotId[]> {
    const { snapshots } = segmentKeys(this.#prefix, segment);
    const members = await this.#link.ask(() => this.#link.client.zrevrange(snapshots, 0, -1));
    return members
      .map((member) => member.split(':').map(Number) as [number, number])
      .map(([lsn, copy]) => this.#id(segment, lsn, copy))
      .sort((a, b) => b.lsn - a.lsn || b.copy - a.copy);
  }

  async read(id: SnapshotId): Promise<Uint8Array> {
    const { name } = this.#id(id.segment, id.lsn, id.copy);
    const value = await this.#link.ask(() => this.#link.client.getBuffer(name));
    if (value === null)
      throw new StoreError('CORRUPT', `In ${this.#link.label}, the snapshot ${name} is gone.`);
    // In memory of its own, aligned for whoever reads numbers from it.
    return new Uint8Array(value);
  }

  async write(segment: number, lsn: number, bytes: Uint8Array, copy = 0): Promise<SnapshotId> {
    const id = this.#id(segment, lsn, copy);
    if (bytes.length > MAX_SNAPSHOT_BYTES) {
      throw new StoreError(
        'FAILED',
        `The snapshot of segment ${segment} has ${bytes.length} bytes, and Redis takes ${MAX_SNAPSHOT_BYTES} at most. ` +
          'More segments make smaller ones.',
      );
    }
    failpoint('snapshot.write');
    const value = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    await this.#change(WRITE_SNAPSHOT, id, [value]);
    return id;
  }

  async remove(id: SnapshotId): Promise<void> {
    await this.#change(REMOVE_SNAPSHOT, id, []);
  }

  async close(): Promise<void> {
    this.#link.close();
  }

  async #change(
    script: RedisScript,
    { segment, lsn, copy, name }: SnapshotId,
    more: Buffer[],
  ): Promise<void> {
    const link = this.#link;
    const { redisWait, epoch } = this.#address;
    const { state, snapshots } = segmentKeys(this.#prefix, segment);
    await link.ready();
    const { losses } = link;
    await link.call(
      script,
      [state, snapshots, name],
      [String(epoch), String(lsn), `${lsn}:${copy}`, ...more],
    );
    if (redisWait === 0) return;
    const replicas = await link.ask(() => link.client.wait(redisWait, ANSWER_MS));
    if (replicas < redisWait || link.losses !== losses) {
      throw new StoreError(
        'AWAY',
        `Not all of the ${redisWait} replicas of ${link.label} have confirmed ${name}.`,
      );
    }
  }

  #id(segment: number, lsn: number, copy: number): SnapshotId {
    return { segment, lsn, copy, name: snapshotKey(this.#prefix, segment, lsn, copy) };
  }
}
