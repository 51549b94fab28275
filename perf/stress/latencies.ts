import { build, encodeIntoCompressedBase64, type Histogram } from 'hdr-histogram-js';

const LONGEST_US = 3_600_000_000;

/** Times below this are counted by the µs first, and put into the histogram together: that costs a tenth. */
const COUNTED_US = 1 << 16;

/** The latencies of one period, of which a thread may have a million a second. */
export class Latencies {
  private readonly counts = new Uint32Array(COUNTED_US);
  private readonly histogram = newHistogram();
  private longestUs = 0;
  /** A time that was too long to be counted by the µs, and how often in a row it came. */
  private longUs = 0;
  private longCount = 0;

  record(tookMs: number): void {
    const us = tookMs <= 0 ? 0 : Math.min(LONGEST_US, Math.round(tookMs * 1000));
    if (us >= COUNTED_US) {
      // Commands of a frame are due together, and their answers are mostly read together.
      if (us !== this.longUs) this.flushLong(us);
      this.longCount++;
      return;
    }
    this.counts[us]++;
    if (us > this.longestUs) this.longestUs = us;
  }

  private flushLong(nextUs: number): void {
    if (this.longCount > 0) this.histogram.recordValueWithCount(this.longUs, this.longCount);
    this.longUs = nextUs;
    this.longCount = 0;
  }

  /** All since the last call, as an encoded histogram of µs. */
  take(): string {
    const { counts, histogram } = this;
    this.flushLong(0);
    for (let us = 0; us <= this.longestUs; us++) {
      if (counts[us] > 0) histogram.recordValueWithCount(us, counts[us]);
    }
    counts.fill(0, 0, this.longestUs + 1);
    this.longestUs = 0;
    const encoded = encodeIntoCompressedBase64(histogram);
    histogram.reset();
    return encoded;
  }
}

/** A histogram of µs, up to an hour, exact to three digits. */
export function newHistogram(): Histogram {
  return build({
    highestTrackableValue: LONGEST_US,
    numberOfSignificantValueDigits: 3,
    useWebAssembly: false,
  });
}
