import { StoreError } from './store.ts';

/** Where a Redis store is, as its URL says. */
export interface RedisAddress {
  readonly kind: 'single' | 'sentinel' | 'cluster';
  /** The server itself; the sentinels; or nodes of the cluster to start from. */
  readonly nodes: readonly { readonly host: string; readonly port: number }[];
  /** Name that the sentinels know the master by; empty without sentinels. */
  readonly master: string;
  readonly tls: boolean;
  readonly username: string | undefined;
  readonly password: string | undefined;
  readonly db: number;
  /** What every key begins with, inside its hash tag. */
  readonly prefix: string;
  /** As it is named to people: the URL without user and password. */
  readonly label: string;
}

const DEFAULT_PREFIX = 'holdfast';
const REDIS_PORT = 6379;
const SENTINEL_PORT = 26_379;
const KINDS: Record<string, Pick<RedisAddress, 'kind' | 'tls'>> = {
  redis: { kind: 'single', tls: false },
  rediss: { kind: 'single', tls: true },
  'redis+sentinel': { kind: 'sentinel', tls: false },
  'rediss+sentinel': { kind: 'sentinel', tls: true },
  'redis+cluster': { kind: 'cluster', tls: false },
  'rediss+cluster': { kind: 'cluster', tls: true },
};

/**
 * Reads `redis://[user:password@]host[:port][,host[:port]…][/db][?prefix=…&db=…]`, also with `rediss:` (TLS), `redis+cluster:` and
 * `redis+sentinel:`, whose path is the master's name. Throws StoreError INCOMPATIBLE, whose message never tells a password.
 */
export function parseRedisUrl(url: string): RedisAddress {
  const parts = /^([a-z+]+):\/\/(?:(.*)@)?([^/?#@]*)(?:\/([^?#]*))?(?:\?([^#]*))?$/s.exec(url);
  const kind = parts?.[1] === undefined ? undefined : KINDS[parts[1]];
  if (parts === null || kind === undefined) {
    throw refuse('A Redis address looks like redis://host:6379/0?prefix=holdfast, with rediss: for TLS.');
  }
  const [, scheme, login, hosts = '', path = '', query = ''] = parts;
  const settings = new URLSearchParams(query);
  for (const name of settings.keys()) {
    if (name !== 'prefix' && name !== 'db') {
      throw refuse(`A Redis address takes ?prefix= and ?db=, and no ?${name}=.`);
    }
  }
  const sentinel = kind.kind === 'sentinel';
  const nodes = hosts.split(',').map((node) => parseNode(node, sentinel ? SENTINEL_PORT : REDIS_PORT));
  if (kind.kind === 'single' && nodes.length > 1) {
    throw refuse('Several hosts need redis+sentinel: or redis+cluster: in front.');
  }
  if (sentinel && path === '') {
    throw refuse(
      'An address with sentinels names the master behind them: redis+sentinel://host:26379/mymaster.',
    );
  }
  const db = parseDb(settings.get('db') ?? (sentinel ? '' : path));
  if (kind.kind === 'cluster' && db !== 0) throw refuse('A Redis Cluster has no database but 0.');
  const prefix = settings.get('prefix') ?? DEFAULT_PREFIX;
  if (!/^[A-Za-z0-9_.:-]{1,64}$/.test(prefix)) {
    throw refuse('The prefix has 1 to 64 letters, digits and any of _ . : -');
  }
  const { username, password } = parseLogin(login);
  const shown = [
    ...(db === 0 || (!sentinel && settings.get('db') === null) ? [] : [`db=${db}`]),
    ...(prefix === DEFAULT_PREFIX ? [] : [`prefix=${prefix}`]),
  ].join('&');
  const label = `${scheme}://${hosts}${path === '' ? '' : `/${path}`}${shown === '' ? '' : `?${shown}`}`;
  return { ...kind, nodes, master: sentinel ? path : '', username, password, db, prefix, label };
}

function parseNode(text: string, defaultPort: number): { host: string; port: number } {
  const parts = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]+))(?::(\d{1,5}))?$/.exec(text);
  const port = parts?.[3] === undefined ? defaultPort : Number(parts[3]);
  const host = parts?.[1] ?? parts?.[2];
  if (host === undefined || port < 1 || port > 65_535)
    throw refuse('A host is a name or address with a port from 1 to 65535.');
  return { host, port };
}

function parseLogin(login: string | undefined): Pick<RedisAddress, 'username' | 'password'> {
  if (login === undefined || login === '') return { username: undefined, password: undefined };
  const colon = login.indexOf(':');
  try {
    const username = decodeURIComponent(colon < 0 ? login : login.slice(0, colon));
    const password = colon < 0 ? undefined : decodeURIComponent(login.slice(colon + 1));
    return { username: username === '' ? undefined : username, password };
  } catch {
    throw refuse('User and password are percent-encoded, and a % in them is %25.');
  }
}

function parseDb(text: string): number {
  if (text === '') return 0;
  if (!/^\d{1,5}$/.test(text)) throw refuse('A database of Redis is a number.');
  return Number(text);
}

function refuse(message: string): StoreError {
  return new StoreError('INCOMPATIBLE', `The address of the Redis store cannot be used. ${message}`);
}
