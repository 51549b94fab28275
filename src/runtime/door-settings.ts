import { ALGORITHMS, type Algorithm } from '../auth/algorithms.ts';
import type { AuthOptions } from '../auth/authenticator.ts';
import { isLoopback } from '../base/loopback.ts';
import { isNetwork } from '../front/client-address.ts';
import { ANY_ORIGIN, normalOrigin } from '../front/origin.ts';
import { address, count, duration, list, type Row, text } from './setting-kinds.ts';

/** Who may come in, and how. */
export interface DoorSettings {
  /** Empty: nobody is asked for a token. */
  authKeys: readonly string[];
  authAlgorithms: readonly Algorithm[];
  /** Empty: any. */
  authIssuer: string;
  authAudience: string;
  authClockToleranceMs: number;
  /** Empty: nothing can be revoked. */
  authRevocations: string;
  authDeadlineMs: number;
  /** Empty: pages of this machine. */
  allowedOrigins: readonly string[];
  dangerouslyLetEverybodyIn: boolean;
  /** Empty: no TLS. */
  tlsCert: string;
  tlsKey: string;
  /** -1: on the port of all else. */
  adminPort: number;
  adminHost: string;
  maxConnectionsPerAddress: number;
  maxHandshakes: number;
  maxHandshakesPerAddress: number;
  maxRequests: number;
  maxRequestsPerAddress: number;
  maxBadTokensPerAddress: number;
  idleTimeoutMs: number;
  trustedProxies: readonly string[];
}

export const DOOR_ROWS: Readonly<Record<keyof DoorSettings, Row<Partial<DoorSettings>>>> = {
  authKeys: {
    type: 'key-sources',
    unit: '',
    help: 'keys that verify tokens, separated by commas; with one, nothing is done for anybody without a token',
    defaultText: 'none',
    defaultFor: () => [],
  },
  authAlgorithms: {
    type: 'words',
    unit: '',
    choices: [...ALGORITHMS],
    help: 'algorithms that a token may be signed by, separated by commas; each takes only keys of its own type',
    defaultText: 'all of them',
    defaultFor: () => [...ALGORITHMS],
  },
  authIssuer: text('what `iss` of a token must be', 'any'),
  authAudience: text('what `aud` of a token must be or have', 'any'),
  authClockToleranceMs: duration(
    0,
    300_000,
    5000,
    'how far the clock of whoever makes tokens may be off, for `exp` and `nbf`',
  ),
  authRevocations: text(
    'file of tokens and subjects that are revoked; read again when it changes',
    'none: nothing can be revoked',
  ),
  authDeadlineMs: duration(
    100,
    60_000,
    5000,
    'a connection that has brought no valid token by then is closed',
  ),
  allowedOrigins: list(
    'https://shop.example, http://… or *',
    (item) => item === ANY_ORIGIN || normalOrigin(item) === item,
    'pages that may use the server from a browser, as the Origin header names them; * for any',
    'pages of this machine',
  ),
  dangerouslyLetEverybodyIn: {
    type: 'switch',
    unit: '',
    help: 'without an auth key, listen on any address: whoever reaches it can buy for anybody, set stock and read all',
    defaultText: 'no',
    defaultFor: () => false,
  },
  tlsCert: text(
    'file with the certificate and those that vouch for it, in PEM: wss and https in place of ws and http',
    'none',
  ),
  tlsKey: text('file with the private key of the certificate, in PEM', 'none'),
  adminPort: {
    ...count(
      '',
      0,
      65_535,
      -1,
      'TCP port for inspect, stages, profile, metrics, rules and revocations, which are then served there only',
    ),
    defaultText: 'none: on the port of all else',
  },
  adminHost: address('address of adminPort', '127.0.0.1'),
  maxConnectionsPerAddress: count(
    'sockets',
    1,
    1_000_000,
    256,
    'WebSockets of one address (IPv6: /64) at once, and as many connections that are none; without an auth key this machine has no such limit, nor the next five',
  ),
  maxHandshakes: count('a second', 1, 1_000_000, 5000, 'WebSocket handshakes, twice as many in one go'),
  maxHandshakesPerAddress: count('a second', 1, 1_000_000, 128, 'the same from one address (IPv6: /64)'),
  maxRequests: count('a second', 1, 1_000_000, 5000, 'HTTP requests, twice as many in one go'),
  maxRequestsPerAddress: count('a second', 1, 1_000_000, 256, 'the same from one address (IPv6: /64)'),
  maxBadTokensPerAddress: count(
    'a second',
    1,
    1_000_000,
    10,
    'tokens from one address (IPv6: /64) that do not do, twice as many in one go; after them none is looked at for a while',
  ),
  idleTimeoutMs: duration(
    12_000,
    900_000,
    120_000,
    'a connection on which nothing comes for so long, not even the answer to a ping, is cut',
  ),
  trustedProxies: list(
    '10.0.0.0/8, fd00::/8 or an address',
    isNetwork,
    'proxies whose X-Forwarded-For says where a client comes from; limits by address are of no use behind others',
    'none',
  ),
};

/** What is wrong with settings that each would do: what they would let in together. */
export function doorProblems(settings: DoorSettings & { host: string }): string[] {
  if (settings.authKeys.length > 0 || settings.dangerouslyLetEverybodyIn) return [];
  return (['host', 'adminHost'] as const)
    .filter((name) => !isLoopback(settings[name]) && (name === 'host' || settings.adminPort >= 0))
    .map(
      (name) =>
        `${name} = ${JSON.stringify(settings[name])} cannot be used: it must be a loopback address (127.0.0.1, ::1 or localhost), because no ` +
        'auth key is configured and any other would let everybody in. Set authKeys (--auth-keys), see Security in the README.',
    );
}

/** The start-up block's words for who may come in. */
export function accessText(settings: DoorSettings & { host: string }): string {
  const tls = settings.tlsCert === '' ? 'no TLS' : 'TLS';
  const from = isLoopback(settings.host) ? 'loopback only' : 'any address';
  if (settings.authKeys.length > 0) return `tokens, ${from}, ${tls}`;
  if (isLoopback(settings.host)) return 'loopback only: no auth key configured';
  return `EVERYBODY who reaches ${settings.host}: no auth key configured, ${tls}`;
}

/** How tokens are checked; undefined where nobody is asked for one. */
export function authOf(settings: DoorSettings): AuthOptions | undefined {
  if (settings.authKeys.length === 0) return undefined;
  return {
    keys: settings.authKeys,
    algorithms: settings.authAlgorithms,
    issuer: settings.authIssuer || undefined,
    audience: settings.authAudience || undefined,
    clockToleranceMs: settings.authClockToleranceMs,
    revocations: settings.authRevocations || undefined,
  };
}
