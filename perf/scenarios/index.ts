import type { Scenario } from '../stress/scenario.ts';
import { checkout } from './checkout.ts';
import { expiryWave } from './expiry-wave.ts';
import { flash } from './flash.ts';
import { hot } from './hot.ts';
import { idleMany } from './idle-many.ts';
import { overload } from './overload.ts';
import { reconnectStorm } from './reconnect-storm.ts';
import { restock } from './restock.ts';
import { slowReaders } from './slow-readers.ts';
import { zipf } from './zipf.ts';

/** Every scenario, in the order in which they run when none is named. */
export const SCENARIOS: readonly Scenario[] = [
  hot,
  zipf,
  flash,
  checkout,
  expiryWave,
  reconnectStorm,
  idleMany,
  slowReaders,
  restock,
  overload,
];
