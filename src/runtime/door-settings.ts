import { ALGORITHMS, type Algorithm } from '../auth/algorithms.ts';
import type { AuthOptions } from '../auth/authenticator.ts';
import { ANY_ORIGIN, normalOrigin } from '../front/origin.ts';
import { duration, list, type Row, text } from './setting-kinds.ts';

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
};

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
