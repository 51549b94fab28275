import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { Asker } from '../../perf/load/asker.ts';
import { ServerProcess } from '../../perf/server-process.ts';

const STAND_IN = fileURLToPath(new URL('./fixtures/stand-in.ts', import.meta.url));

// The books of a run are read by this time: holds that it takes for open are lost ones where the server has ended them.
it("knows the server's time also where the hello was read late", async () => {
  const helloAgeMs = 60_000;
  const server = await ServerProcess.start('stand-in', [STAND_IN, JSON.stringify({ helloAgeMs })]);
  try {
    const asker = await Asker.connect(await server.port, 'test');
    asker.close();
    expect(Math.abs(asker.aheadMs)).toBeLessThan(helloAgeMs / 2);
  } finally {
    await server.stop();
  }
});
