import { OP_SHAPES, opsOf, Route } from '../../protocol/ops.ts';
import { Scope } from '../../protocol/status.ts';
import type { Identity } from '../auth/identity.ts';
import type { Connection } from './connections.ts';
import type { HolderHash } from './holder.ts';

/** Who sends commands, as far as they have to know. */
export interface Caller {
  readonly holder: string;
  readonly holderLo: number;
  readonly holderHi: number;
  /** Bits of Scope. */
  readonly scopes: number;
  /** Whether it may touch the holds of others, which is written down. */
  readonly admin: boolean;
  readonly vip: boolean;
  /** Nobody knows who it is: limits go by its address. */
  readonly anonymous: boolean;
  /** Of an HTTP request, words of the client's address, see ClientAddresses; a connection knows its own already. */
  readonly address?: readonly [lo: number, hi: number];
}

/** The server itself, for whoever may ask it: nobody's holds, and no limits of admission. */
export const SERVER_ITSELF: Caller = {
  holder: 'server',
  holderLo: 0,
  holderHi: 0,
  scopes: Scope.ADMIN,
  admin: false,
  vip: true,
  anonymous: false,
};

/** Whoever brings a token that was looked at. */
export function callerOf({ subject, scopes, vip }: Identity, holders: HolderHash): Caller {
  holders.run(subject);
  const admin = (scopes & Scope.ADMIN) !== 0;
  return {
    holder: subject,
    holderLo: holders.lo,
    holderHi: holders.hi,
    scopes,
    admin,
    vip,
    anonymous: false,
  };
}

/** Whoever comes where there is no authentication: the name is believed, and all is allowed but the holds of other names. */
export function anybody(holder: string, named: boolean, holders: HolderHash): Caller {
  holders.run(holder);
  return {
    holder,
    holderLo: holders.lo,
    holderHi: holders.hi,
    scopes: Scope.HOLD | Scope.STOCK | Scope.ADMIN,
    admin: false,
    vip: false,
    anonymous: !named,
  };
}

/** Whether scopes allow what needs `needed`, which is 0 for what every valid token allows. */
export function allows(scopes: number, needed: number): boolean {
  return needed === 0 || (scopes & (needed | Scope.ADMIN)) !== 0;
}

/** Commands on holds that exist: an administrator's may be anybody's. */
const ON_HOLDS = OP_SHAPES.reduce((ops, { op, route }) => (route === Route.HOLD ? ops | (1 << op) : ops), 0);

/** Makes a connection the caller's. */
export function identify(connection: Connection, caller: Caller): void {
  connection.holder = caller.holder;
  connection.holderLo = caller.holderLo;
  connection.holderHi = caller.holderHi;
  connection.mayOps = opsOf(caller.scopes);
  connection.authReason = 0;
  connection.admin = caller.admin;
  connection.auditOps = caller.admin ? ON_HOLDS | ~opsOf(caller.scopes & ~Scope.ADMIN) : 0;
  connection.vip = caller.vip;
  connection.anonymous = caller.anonymous;
  if (caller.address !== undefined) [connection.addressLo, connection.addressHi] = caller.address;
}
