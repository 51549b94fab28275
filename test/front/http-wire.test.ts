import type uWS from 'uWebSockets.js';
import { expect, it } from 'vitest';
import { endResponse } from '../../src/front/http-wire.ts';

it('a response that finds no room in its socket goes on where it stopped, until it is out', () => {
  const took: string[] = [];
  let sent = 0;
  let room = 4;
  let onWritable = (_offset: number): boolean => false;
  const res = {
    tryEnd(part: Uint8Array, total: number): [boolean, boolean] {
      const fits = Math.min(room, part.length);
      room = 0;
      took.push(Buffer.from(part.subarray(0, fits)).toString());
      sent += fits;
      return [fits === part.length, sent === total];
    },
    onWritable(handler: (offset: number) => boolean) {
      onWritable = handler;
      return res;
    },
  };
  endResponse(res as unknown as uWS.HttpResponse, 'an answer');
  room = 3;
  expect(onWritable(sent)).toBe(false);
  room = 100;
  expect(onWritable(sent)).toBe(true);
  expect(took).toEqual(['an a', 'nsw', 'er']);
});
