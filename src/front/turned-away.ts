import { TurnedAway } from '../shard/counters.ts';
import { Arrival } from './arrivals.ts';

/** What is said of a refusal of layer 1. */
export interface Refusal {
  /** See TurnedAway. */
  readonly cell: number;
  readonly status: '429 Too Many Requests' | '503 Service Unavailable';
  readonly why: string;
}

const ADDRESS = '429 Too Many Requests';
const ALL = '503 Service Unavailable';

/** By Arrival. */
export const REFUSALS: Readonly<Record<number, Refusal>> = {
  [Arrival.ADDRESS_CONNECTIONS]: refusal(
    ADDRESS,
    'ADDRESS_CONNECTIONS',
    'too many connections are open from this address',
  ),
  [Arrival.HANDSHAKES]: refusal(ALL, 'RATE', 'too many clients connect at present'),
  [Arrival.ADDRESS_HANDSHAKES]: refusal(
    ADDRESS,
    'ADDRESS_RATE',
    'too many connections came from this address of late',
  ),
  [Arrival.REQUESTS]: refusal(ALL, 'REQUESTS', 'too many requests come at present'),
  [Arrival.ADDRESS_REQUESTS]: refusal(
    ADDRESS,
    'ADDRESS_REQUESTS',
    'too many requests came from this address of late',
  ),
  [Arrival.ADDRESS_BAD_TOKENS]: refusal(
    ADDRESS,
    'ADDRESS_BAD_TOKENS',
    'too many tokens came from this address of late that did not do',
  ),
  [Arrival.VISITS]: refusal(ALL, 'VISITS', 'too many connections are open'),
  [Arrival.ADDRESS_VISITS]: refusal(
    ADDRESS,
    'ADDRESS_VISITS',
    'too many connections are open from this address',
  ),
  [Arrival.OPENINGS]: refusal(ALL, 'OPENINGS', 'too many clients connect at present'),
  [Arrival.ADDRESS_OPENINGS]: refusal(
    ADDRESS,
    'ADDRESS_OPENINGS',
    'too many connections came from this address of late',
  ),
};

function refusal(status: Refusal['status'], cell: keyof typeof TurnedAway, why: string): Refusal {
  return { status, cell: TurnedAway[cell], why };
}
