/**
 * A small seeded generator for simulations, load and tests (never for secrets): splitmix32, a 32-bit variant of
 * SplitMix (Steele, Lea, Flood, 2014). The same seed gives the same run on every machine.
 */
export class Prng {
  private state: number;

  constructor(seed: number) {
    this.state = seed | 0;
  }

  /** An integer from 0 to 2^32 - 1. */
  next(): number {
    this.state = (this.state + 0x9e3779b9) | 0;
    let z = this.state;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return (z ^ (z >>> 15)) >>> 0;
  }

  /** An integer from 0 to bound - 1. */
  below(bound: number): number {
    return Math.floor((this.next() / 0x100000000) * bound);
  }

  /** True once in `n` times on average. */
  oneIn(n: number): boolean {
    return this.below(n) === 0;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)] as T;
  }
}
