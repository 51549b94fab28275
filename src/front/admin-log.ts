import { OP_SHAPES, opName, Route } from '../../protocol/ops.ts';
import { statusName } from '../../protocol/status.ts';
import type { Log } from '../log/events.ts';
import type { Audit } from './connections.ts';
import { decodeAll } from './message.ts';

/** A command that was passed on and is not answered. */
interface Deed {
  readonly op: number;
  readonly requestId: number;
  /** The hold, SKU or segment that it is about. */
  readonly target: number | string;
}

/** Writes down what one connection's administrator does by that right: who, what, to what, and what came of it. */
export class AdminLog implements Audit {
  private readonly log: Log;
  private readonly subject: string;
  private readonly tokenId: string | undefined;
  private readonly connection: string;
  /** By request id, which a client may use twice at the same time, though it should not. */
  private readonly waiting = new Map<number, Deed[]>();

  constructor(log: Log, subject: string, tokenId: string | undefined, connection: string) {
    this.log = log;
    this.subject = subject;
    this.tokenId = tokenId;
    this.connection = connection;
  }

  begun(op: number, requestId: Uint8Array, target: number | string): void {
    const id = decodeAll(requestId)[0] as number;
    const deed: Deed = { op, requestId: id, target };
    const others = this.waiting.get(id);
    if (others === undefined) this.waiting.set(id, [deed]);
    else others.push(deed);
  }

  answered([id, status, ...results]: readonly unknown[]): void {
    const deeds = this.waiting.get(id as number);
    const deed = deeds?.shift();
    if (deeds?.length === 0) this.waiting.delete(id as number);
    if (deed !== undefined) this.write(deed, statusName(status as number), JSON.stringify(results));
  }

  close(): void {
    for (const deeds of this.waiting.values()) {
      for (const deed of deeds) this.write(deed, 'unknown', 'the connection was gone before the answer');
    }
    this.waiting.clear();
  }

  private write({ op, requestId, target }: Deed, status: string, detail: string): void {
    const { subject, tokenId, connection } = this;
    const route = OP_SHAPES[op]?.route;
    this.log({
      event: 'admin-action',
      action: opName(op),
      ...{ subject, tokenId, status, connection, requestId, detail },
      ...(route === Route.HOLD && { hold: target }),
      ...(route === Route.SKU && { sku: target }),
      ...(route === Route.SEGMENT && { segment: target }),
    });
  }
}
