import { type Client, connect } from '../client/index.ts';
import type { HolderOptions } from './options.ts';

/** Connects as the holder, runs one piece of work, and closes the connection whatever came of it. */
export async function withClient<T>(
  options: HolderOptions,
  work: (client: Client) => Promise<T>,
): Promise<T> {
  const client = await connect(options.url.webSocket, {
    holder: options.holder,
    timeoutMs: options.timeout,
    // A person at a prompt wants to hear at once that the connection is gone.
    reconnect: { attempts: 1 },
  });
  try {
    return await work(client);
  } finally {
    await client.close();
  }
}
