import { Op } from '../../protocol/ops.ts';
import { Status } from '../../protocol/status.ts';
import type { SkuStock } from '../metrics/collector.ts';
import { type HotSku, hottestSkus } from '../shard/hot-skus.ts';
import type { EngineMemory } from '../shard/memory.ts';
import { Call } from './call.ts';
import { SERVER_ITSELF } from './caller.ts';
import type { Front } from './front.ts';

/** However often somebody asks, SKUs are read no more often than this. */
const FRESH_MS = 1000;
/** A reading waits no longer: of what has not answered by then, the values before are told. */
const WAIT_MS = 200;
/** So many more are read than are told, since names that nobody ever stocked may be among the hot ones. */
const SPARE = 2;
/** Reads the stock of the SKUs that commands name most, by READ commands like anybody's. */
export class StockReader {
  private readonly front: Front;
  private readonly memory: EngineMemory;
  private readonly most: number;
  private known = new Map<string, SkuStock>();
  private hot: readonly HotSku[] = [];
  private nextMs = 0;
  private reading: Promise<void> | undefined;

  /** @param most SKUs that are told; 0 for none */
  constructor(front: Front, memory: EngineMemory, most: number) {
    this.front = front;
    this.memory = memory;
    this.most = most;
  }

  /** At most a second old, from the hottest on. */
  async read(): Promise<SkuStock[]> {
    if (this.most === 0) return [];
    if (this.reading === undefined && performance.now() >= this.nextMs) this.reading = this.readNow();
    await this.reading;
    const stocks = this.hot.flatMap(({ sku, share }) => {
      const stock = this.known.get(sku);
      return stock === undefined ? [] : [{ ...stock, share }];
    });
    return stocks.slice(0, this.most);
  }

  private async readNow(): Promise<void> {
    const { front, memory, most } = this;
    this.nextMs = performance.now() + FRESH_MS;
    this.hot = hottestSkus(memory.counters.hotSkus, memory.fronts.length, most * SPARE);
    const before = this.known;
    this.known = new Map();
    for (const { sku } of this.hot) {
      const stock = before.get(sku);
      if (stock !== undefined) this.known.set(sku, stock);
    }
    const { known } = this;
    const reads = this.hot.map(
      ({ sku }) =>
        new Promise<void>((resolve) => {
          new Call(front, SERVER_ITSELF).run([Op.READ, 1, sku], ([, status, available, held, sold]) => {
            if (status === Status.OK) known.set(sku, { sku, available, held, sold } as SkuStock);
            else if (status === Status.UNKNOWN_SKU) known.delete(sku);
            resolve();
          });
        }),
    );
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, WAIT_MS);
    });
    await Promise.race([Promise.all(reads), late]);
    clearTimeout(timer);
    this.reading = undefined;
  }
}
