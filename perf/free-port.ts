import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

/**
 * Below those that the kernel gives to whoever wants any port, and to outgoing connections: between a look and its use, nobody comes to one
 * of these by accident, nor while a server that had it is started again. Redis' usual one is not among them.
 */
const FIRST_PORT = 20_000;
const PORTS = 12_000;
const MOST_LOOKS = 1000;
/** By this process, which may use them later. */
const given = new Set<number>();

/** A port of the loopback address that nobody has, another with every call. */
export async function freePort(): Promise<number> {
  for (let look = 0; look < MOST_LOOKS; look++) {
    const port = FIRST_PORT + randomInt(PORTS);
    if (given.has(port) || !(await isFree(port))) continue;
    given.add(port);
    return port;
  }
  throw new Error(`${MOST_LOOKS} ports from ${FIRST_PORT} on are all in use.`);
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
