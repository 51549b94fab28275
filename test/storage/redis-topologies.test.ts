import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import tls from 'node:tls';
import { afterEach, describe, expect, it } from 'vitest';
import { freePort } from '../../perf/free-port.ts';
import { hasOpenssl, makeCertificate, noRedis, type RedisServer, startRedis } from '../fixtures/redis.ts';
import { EventMaker } from './events.ts';
import { addLot, bySegment, commitAtLast, openWriter, possess, readAll, SEGMENTS } from './redis-places.ts';

describe.skipIf(noRedis !== undefined)(
  `Redis in many shapes${noRedis === undefined ? '' : `: ${noRedis}`}`,
  () => {
    const servers: RedisServer[] = [];
    const directories: string[] = [];

    afterEach(async () => {
      await Promise.all(servers.splice(0).map((server) => server.stop()));
      for (const directory of directories.splice(0)) rmSync(directory, { recursive: true, force: true });
    });

    async function start(...args: Parameters<typeof startRedis>): Promise<RedisServer> {
      const server = await startRedis(...args);
      servers.push(server);
      return server;
    }
    function temporary(): string {
      const directory = mkdtempSync(join(tmpdir(), 'holdfast-redis-'));
      directories.push(directory);
      return directory;
    }

    /** Two runs of a server, with snapshots and trimming; the second finds what the first wrote. */
    async function useStore(url: string, settings: Parameters<typeof possess>[1] = {}): Promise<void> {
      const maker = new EventMaker(SEGMENTS);
      const written: string[] = [];
      for (let run = 0; run < 2; run++) {
        const possession = await possess(url, settings);
        const { writer, store } = await openWriter(possession, maker.lsns.slice());
        for (let turn = 0; turn < 8; turn++) {
          written.push(...addLot(writer, maker, turn));
          await commitAtLast(writer);
        }
        expect(await readAll(possession)).toEqual(bySegment(written));
        const snapshots = store.snapshots(possession.identity);
        for (let segment = 0; segment < SEGMENTS; segment++) {
          const image = new Uint8Array(1000).fill(segment + run);
          const id = await snapshots.write(segment, maker.lsns[segment], image);
          expect(new Uint8Array(await snapshots.read(id))).toEqual(image);
          expect(await snapshots.list(segment)).toHaveLength(run + 1);
        }
        await store.close();
        await possession.release();
      }
    }

    it('spreads over the nodes of a cluster, and carries on when one was killed and restarted', async () => {
      const nodes = await startCluster(3, start);
      const url = `redis+cluster://${nodes.map(({ port }) => `127.0.0.1:${port}`).join(',')}`;
      await expect(possess(url, { redisWait: 1 })).rejects.toMatchObject({ code: 'INCOMPATIBLE' });
      await useStore(url);
      const sizes = await Promise.all(nodes.map(({ client }) => client.dbsize()));
      expect(sizes.filter((size) => size > 0).length).toBeGreaterThan(1);

      const possession = await possess(`redis+cluster://127.0.0.1:${nodes[0].port}?prefix=killed`);
      expect(await possession.store.promise('sync')).toMatch(/before the answer.*failover/);
      const { writer, store } = await openWriter(possession);
      const maker = new EventMaker(SEGMENTS);
      const written: string[] = [];
      for (let turn = 0; turn < 6; turn++) {
        if (turn === 2) {
          await nodes[1].kill();
          setTimeout(() => void nodes[1].restart(), 100);
        }
        written.push(...addLot(writer, maker, turn));
        await commitAtLast(writer);
      }
      expect(await readAll(possession)).toEqual(bySegment(written));
      await store.close();
      await possession.release();
    });

    it('waits for replicas, and acknowledges nothing without them', async () => {
      const master = await start();
      const replica = await start({
        settings: ['replicaof', `127.0.0.1 ${master.port}`],
      });
      await replicated(replica);
      const possession = await possess(master.url, { redisWait: 1 });
      const { writer, store } = await openWriter(possession);
      const maker = new EventMaker(SEGMENTS);
      const written = addLot(writer, maker, 3);
      await commitAtLast(writer);
      expect(await possession.store.promise('sync')).toMatch(/only when a replica has it/);

      replica.pause();
      written.push(...addLot(writer, maker, 3));
      await expect(writer.commit()).rejects.toMatchObject({ code: 'AWAY', retryable: true });
      // On a new connection, Redis knows of no write of ours, and must not be believed that all replicas have it.
      await master.client.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
      await sleep(150);
      await expect(writer.commit()).rejects.toMatchObject({ code: 'AWAY' });
      replica.resume();
      await commitAtLast(writer);
      expect(await readAll(possession)).toEqual(bySegment(written));
      await store.close();
      await possession.release();
    });

    it('follows sentinels to the new master', async () => {
      const master = await start();
      const replica = await start({
        settings: ['replicaof', `127.0.0.1 ${master.port}`],
      });
      await replicated(replica);
      const sentinel = await startSentinel(master.port, temporary());
      try {
        const url = `redis+sentinel://127.0.0.1:${sentinel.port}/mymaster?prefix=watched`;
        const possession = await possess(url);
        const { writer, store } = await openWriter(possession);
        const maker = new EventMaker(SEGMENTS);
        const written = addLot(writer, maker, 3);
        await commitAtLast(writer);
        // Without --redis-wait, only what the replica has by then survives a failover.
        await master.client.set('last', 'of all');
        expect(await master.client.wait(1, 100_000)).toBe(1);
        await failOver(sentinel, replica);
        await master.kill();
        written.push(...addLot(writer, maker, 7));
        await commitAtLast(writer);
        expect(await replica.client.exists('{watched}:meta')).toBe(1);
        expect(await readAll(possession)).toEqual(bySegment(written));
        await store.close();
        await possession.release();
      } finally {
        await sentinel.stop();
      }
    });

    it('speaks TLS, and only to whom it knows', async ({ skip }) => {
      skip(!hasOpenssl(), 'openssl is missing: no certificate to test with');
      const directory = temporary();
      const { cert, key } = makeCertificate(directory);
      const tlsPort = await freePort();
      const tlsSettings = [
        'tls-port',
        `${tlsPort}`,
        'tls-cert-file',
        cert,
        'tls-key-file',
        key,
        'tls-auth-clients',
        'no',
      ];
      await start({ settings: tlsSettings });
      await expect(possess(`rediss://localhost:${tlsPort}`)).rejects.toMatchObject({
        code: 'AWAY',
        message: expect.stringContaining('self-signed'),
      });
      const known = tls.getCACertificates('default');
      tls.setDefaultCACertificates([...known, readFileSync(cert, 'utf8')]);
      try {
        await useStore(`rediss://localhost:${tlsPort}`);
        await useStore(`rediss://127.0.0.1:${tlsPort}?prefix=by-address`);
      } finally {
        tls.setDefaultCACertificates(known);
      }
    });
  },
);

async function startCluster(count: number, start: typeof startRedis): Promise<RedisServer[]> {
  const busPorts = await Promise.all(Array.from({ length: count }, freePort));
  const nodes = await Promise.all(
    busPorts.map((port) =>
      start({
        settings: ['cluster-enabled', 'yes', 'cluster-port', `${port}`, 'cluster-node-timeout', '2000'],
      }),
    ),
  );
  const share = Math.ceil(16_384 / count);
  for (const [i, node] of nodes.entries()) {
    await node.client.call('CLUSTER', 'ADDSLOTSRANGE', i * share, Math.min((i + 1) * share, 16_384) - 1);
    if (i > 0) await nodes[0].client.call('CLUSTER', 'MEET', '127.0.0.1', node.port, busPorts[i]);
  }
  for (const node of nodes) {
    await until(async () => /cluster_state:ok/.test(String(await node.client.call('CLUSTER', 'INFO'))));
    await until(
      async () =>
        String(await node.client.call('CLUSTER', 'NODES'))
          .trim()
          .split('\n').length === count,
    );
  }
  return nodes;
}

function replicated(replica: RedisServer): Promise<void> {
  return until(async () => /master_link_status:up/.test(await replica.client.info('replication')));
}

/** A sentinel alone, which is enough to be asked where the master is and to be told to move it; not to find by itself that a busy one is down. */
async function startSentinel(masterPort: number, directory: string): Promise<RedisServer> {
  const file = join(directory, 'sentinel.conf');
  writeFileSync(
    file,
    `sentinel monitor mymaster 127.0.0.1 ${masterPort} 1\nsentinel down-after-milliseconds mymaster 100000\n`,
  );
  return startRedis({ sentinelFile: file });
}

async function failOver(sentinel: RedisServer, replica: RedisServer): Promise<void> {
  await until(async () =>
    /num-slaves,1/.test(String(await sentinel.client.call('SENTINEL', 'MASTER', 'mymaster'))),
  );
  await until(
    async () => (await sentinel.client.call('SENTINEL', 'FAILOVER', 'mymaster').catch(() => '')) === 'OK',
  );
  await until(async () => /role:master/.test(await replica.client.info('replication')));
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  for (let look = 0; look < 5000; look++) {
    if (await holds().catch(() => false)) return;
    await sleep(20);
  }
  throw new Error('it never came to it');
}
