import { expect, test } from 'vitest';
import { ringPair } from './fixtures/ring-pair.ts';

const RECORDS = 20_000;

test('sending and receiving records allocates nothing', () => {
  // Near 2^31, where a counter that did not stay a small integer would be boxed.
  const { producer, consumer } = ringPair({ capacity: 65_536, at: 2 ** 31 - 8 * 65_536 });
  const send = () => {
    for (let record = 0; record < RECORDS; record++) {
      const index = producer.claim(56, record);
      producer.i32[index >> 2] = record;
      producer.trim(40);
      if ((record & 15) !== 0) continue;
      producer.publish();
      while (consumer.next() >= 0);
      consumer.release();
    }
  };
  const bytesPerRun = Array.from({ length: 41 }, () => {
    const before = process.memoryUsage().heapUsed;
    send();
    return process.memoryUsage().heapUsed - before;
  });
  // The first runs compile and a collection may fall into one, hence the median; a single allocation per record
  // would be at least 16 bytes each.
  const median = bytesPerRun.sort((a, b) => a - b)[20];
  expect(median / RECORDS).toBeLessThan(1);
});
