import type { StagePlots } from './data.ts';

/** Viridis, dark to bright, which also tells its order in grey. */
const RAMP = ['#440154', '#3b528b', '#21918c', '#5ec962', '#fde725'];
const ROW_PX = 28;
const MOST_HEIGHT_PX = 420;
const LEFT_PX = 78;
const BOTTOM_PX = 22;

/** The queue waits of the workers as a map: a row for each worker, a column for each period, bright where the wait is long. */
export function drawHeatMap(parent: HTMLElement, { seconds, queueUs }: StagePlots): void {
  const waits = queueUs.flatMap(({ p99 }) => p99).filter((us) => us !== null);
  // From no less than a tenth of the longest, so that a calm run does not look like a wild one; at least 1 µs, for the logarithm.
  const longest = Math.max(10, ...waits);
  const shortest = Math.max(1, Math.min(longest / 10, ...waits));
  const heat = (us: number): string =>
    rampColor(Math.log(Math.max(us, shortest) / shortest) / Math.log(longest / shortest));
  const canvas = document.createElement('canvas');
  const note = document.createElement('div');
  note.className = 'heat-note';
  const width = parent.clientWidth;
  const height = Math.min(MOST_HEIGHT_PX, Math.max(180, queueUs.length * ROW_PX)) + BOTTOM_PX;
  const scale = window.devicePixelRatio || 1;
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const context = canvas.getContext('2d') as CanvasRenderingContext2D;
  context.scale(scale, scale);
  const style = getComputedStyle(document.documentElement);
  const rowPx = (height - BOTTOM_PX) / queueUs.length;
  const end = seconds[seconds.length - 1] as number;
  const x = (second: number): number => LEFT_PX + ((width - LEFT_PX) * second) / end;
  context.font = '12px system-ui, sans-serif';
  context.textBaseline = 'middle';
  queueUs.forEach(({ worker, p99 }, row) => {
    p99.forEach((us, i) => {
      const from = i === 0 ? 0 : (seconds[i - 1] as number);
      context.fillStyle = us === null ? style.getPropertyValue('--none') : heat(us);
      // Half a pixel more, or light shows between neighbours.
      context.fillRect(x(from), row * rowPx, x(seconds[i] as number) - x(from) + 0.5, rowPx - 1);
    });
    // As many names as have room.
    if (row % Math.ceil(15 / rowPx) === 0) {
      context.fillStyle = style.getPropertyValue('--soft');
      context.fillText(`worker ${worker}`, 4, (row + 0.5) * rowPx);
    }
  });
  context.fillStyle = style.getPropertyValue('--soft');
  for (let tick = 0; tick <= 4; tick++) {
    context.textAlign = tick === 0 ? 'left' : tick === 4 ? 'right' : 'center';
    context.fillText(`${Number(((end * tick) / 4).toFixed(1))} s`, x((end * tick) / 4), height - 9);
  }
  canvas.addEventListener('mousemove', ({ offsetX, offsetY }) => {
    const second = ((offsetX - LEFT_PX) / (width - LEFT_PX)) * end;
    const own = queueUs[Math.floor(offsetY / rowPx)];
    const at = seconds.findIndex((until) => second < until);
    note.textContent =
      own === undefined || second < 0 || at < 0
        ? ''
        : `worker ${own.worker}, until ${(seconds[at] as number).toFixed(1)} s: ${inUs(own.p99[at] ?? null)}, ${own.waiting[at] ?? 0} waiting at its end`;
  });
  parent.append(canvas, key(shortest, longest), note);
}

function key(shortest: number, longest: number): HTMLElement {
  const element = document.createElement('div');
  element.className = 'heat-key';
  const bar = document.createElement('span');
  bar.style.cssText = `width: 160px; height: 12px; background: linear-gradient(to right, ${RAMP.join(', ')})`;
  const [from, to] = [shortest, longest].map((us) => document.createTextNode(inUs(us)));
  element.append(from as Text, bar, to as Text);
  return element;
}

/** @param share 0 to 1 */
function rampColor(share: number): string {
  const at = Math.min(1, Math.max(0, share)) * (RAMP.length - 1);
  const lower = Math.min(RAMP.length - 2, Math.floor(at));
  const part = (color: string, i: number): number => Number.parseInt(color.slice(1 + 2 * i, 3 + 2 * i), 16);
  const mixed = [0, 1, 2].map((i) => {
    const from = part(RAMP[lower] as string, i);
    return Math.round(from + (part(RAMP[lower + 1] as string, i) - from) * (at - lower));
  });
  return `rgb(${mixed.join(' ')})`;
}

function inUs(us: number | null): string {
  if (us === null) return 'no command';
  return us < 1000 ? `${Math.round(us)} µs` : `${Number((us / 1000).toFixed(us < 10_000 ? 1 : 0))} ms`;
}
