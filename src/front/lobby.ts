import type uWS from 'uWebSockets.js';
import type { Log } from '../log/events.ts';
import { add, FrontCell, turnedAwayName } from '../shard/counters.ts';
import { Arrival, type Arrivals, isLimited } from './arrivals.ts';
import type { ClientAddresses } from './client-address.ts';
import { REFUSALS, type Refusal } from './turned-away.ts';

/** Who sends a request, by its address. */
export interface Guest {
  readonly address: string;
  /** Words of the address, see ClientAddresses. */
  readonly lo: number;
  readonly hi: number;
  /** Whether limits by address hold for it. */
  readonly limited: boolean;
  /** Whether its connection is counted as a visit. */
  readonly visits: boolean;
}

export interface LobbyOptions {
  readonly addresses: ClientAddresses;
  readonly arrivals: Arrivals;
  /** Whether somebody looks at tokens. */
  readonly authenticated: boolean;
  /** See FrontCell. */
  readonly counters: Float64Array;
  readonly log: Log;
}

/**
 * Where connections are until they are WebSockets: each is counted from the moment that it is accepted, before TLS, and brings one request.
 * Behind the answer it is closed, since the socket layer does not tell which connection it is that a further request comes on, or that has
 * ended between two. Those of trusted proxies, and where limits do not hold, may stay for more.
 */
export class Lobby {
  readonly arrivals: Arrivals;
  private readonly options: LobbyOptions;

  constructor(options: LobbyOptions) {
    this.options = options;
    this.arrivals = options.arrivals;
  }

  /** That of another port: however many come here, none of them takes the room of those who come there. */
  apart(): Lobby {
    return new Lobby({ ...this.options, arrivals: this.arrivals.apart() });
  }

  /** For App.filter(), which tells of sockets that come (1) and go (-1). */
  readonly enter = (res: uWS.HttpResponse, change: number): void => {
    if (change < 0) return;
    const { addresses, arrivals } = this.options;
    const { lo, hi, address, visits } = this.known(addresses.ofSocket(res.getRemoteAddress()));
    if (!visits) return;
    const refusal = arrivals.visit(lo, hi);
    if (refusal === Arrival.OK) {
      // Until the request sets another: so long nobody else hears of the end.
      res.onAborted(() => arrivals.endVisit(lo, hi));
      return;
    }
    this.turnAway(refusal, address);
    res.close();
  };

  /**
   * Who sends this request. Undefined when the sender has reset the connection meanwhile and so has no address any more: then it is closed,
   * and must not be touched.
   */
  guest(res: uWS.HttpResponse, req: uWS.HttpRequest): Guest | undefined {
    if (res.getRemoteAddress().byteLength > 0) return this.known(this.options.addresses.ofRequest(res, req));
    // Ends the visit by what enter() has set.
    res.close();
    return undefined;
  }

  /** The guest's connection is a WebSocket now, or closed, or about to be. To be told once. */
  leave({ visits, lo, hi }: Guest): void {
    if (visits) this.arrivals.endVisit(lo, hi);
  }

  /** Counts and notes that somebody was refused. */
  turnAway(refusal: number, address: string): Refusal {
    const said = REFUSALS[refusal] as Refusal;
    const { counters, log } = this.options;
    add(counters, FrontCell.TURNED_AWAY + said.cell, 1);
    log({ event: 'connection-refused', reason: turnedAwayName(said.cell), address });
    return said;
  }

  /** Seconds after which whoever was just refused may come again. */
  get retryAfterS(): number {
    return Math.max(1, Math.ceil(this.arrivals.retryMs / 1000));
  }

  private known(address: string): Guest {
    const { addresses, authenticated } = this.options;
    const limited = isLimited(address, authenticated);
    return { address, lo: addresses.lo, hi: addresses.hi, limited, visits: limited && addresses.direct };
  }
}
