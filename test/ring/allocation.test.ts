import { expect, test } from 'vitest';
import { bytesPerCall } from '../../perf/allocation.ts';
import { ringPair } from './fixtures/ring-pair.ts';

test('sending and receiving records allocates nothing', () => {
  // Near 2^31, where a counter that did not stay a small integer would be boxed.
  const { producer, consumer } = ringPair({ capacity: 65_536, at: 2 ** 31 - 8 * 65_536 });
  let received = 0;
  const send = (record: number) => {
    const index = producer.claim(56, record);
    producer.i32[index >> 2] = record;
    producer.trim(40);
    if ((record & 15) !== 0) return;
    producer.publish();
    while (consumer.next() >= 0) received++;
    consumer.release();
  };
  expect(bytesPerCall(send, 20_000, 1)).toBeLessThan(1);
  expect(received).toBeGreaterThan(20_000);
});
