import { Prng } from '../../src/base/prng.ts';

/** Exponent of Zipf's law as it is found in shops and caches: a little below one. */
const ZIPF_EXPONENT = 0.99;
const UNIT = 2 ** 30;

/**
 * `count` numbers from 0 to `skus` - 1, drawn by popularity. The most popular ones are spread over the numbers, so that they fall into
 * different segments.
 */
export function drawSkus(
  skus: number,
  popularity: 'uniform' | 'zipf',
  count: number,
  seed: number,
): Int32Array {
  const random = new Prng(seed);
  const drawn = new Int32Array(count);
  if (popularity === 'uniform') {
    for (let i = 0; i < count; i++) drawn[i] = random.below(skus);
    return drawn;
  }
  const upTo = cumulative(skus);
  const all = upTo[skus - 1];
  for (let i = 0; i < count; i++) drawn[i] = firstAbove(upTo, (random.below(UNIT) / UNIT) * all);
  return drawn;
}

/** Weights 1 / n^s, added up. */
function cumulative(skus: number): Float64Array {
  const upTo = new Float64Array(skus);
  let sum = 0;
  for (let n = 0; n < skus; n++) {
    sum += (n + 1) ** -ZIPF_EXPONENT;
    upTo[n] = sum;
  }
  return upTo;
}

/** First place whose value is above `value`, by halving. */
function firstAbove(sorted: Float64Array, value: number): number {
  let low = 0;
  let high = sorted.length - 1;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sorted[middle] > value) high = middle;
    else low = middle + 1;
  }
  return low;
}
