import { type Client, connect } from '../client/index.ts';
import { ANONYMOUS, type HolderOptions } from './options.ts';

/** Connects as the holder, runs one piece of work, and closes the connection whatever came of it. */
export async function withClient<T>(
  options: HolderOptions,
  work: (client: Client) => Promise<T>,
): Promise<T> {
  const { webSocket, token } = options.url;
  const client = await connect(webSocket, {
    ...(token === undefined ? named(options.holder) : { token }),
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

/** A name that nobody chose is left to the server: one that wants a token takes no name, and says so only where none came. */
function named(holder: string): { holder?: string } {
  return holder === ANONYMOUS ? {} : { holder };
}
