import { describe, expect, it } from 'vitest';
import { Exposition, type Format, formatFor } from '../../src/metrics/exposition.ts';
import { FAMILIES, type Family } from '../../src/metrics/families.ts';
import { readExposition } from '../fixtures/exposition.ts';

const FAMILY: Family = { name: 'shop_things', type: 'gauge', unit: '', labels: [], help: 'Things.' };
const of = (family: Partial<Family>): Family => ({ ...FAMILY, ...family });

function written(format: Format, write: (text: Exposition) => void): string {
  const text = new Exposition(format);
  write(text);
  return text.end();
}

describe('a family', () => {
  it.each<[string, Partial<Family>, (string | number)[], string[], string[]]>([
    [
      'a gauge',
      {},
      [],
      ['# HELP shop_things Things.', '# TYPE shop_things gauge', 'shop_things 3'],
      ['# HELP shop_things Things.', '# TYPE shop_things gauge', 'shop_things 3', '# EOF'],
    ],
    [
      'a counter',
      { type: 'counter' },
      [],
      ['# HELP shop_things_total Things.', '# TYPE shop_things_total counter', 'shop_things_total 3'],
      ['# HELP shop_things Things.', '# TYPE shop_things counter', 'shop_things_total 3', '# EOF'],
    ],
    [
      'one with a unit',
      { name: 'shop_open_seconds', unit: 'seconds' },
      [],
      ['# HELP shop_open_seconds Things.', '# TYPE shop_open_seconds gauge', 'shop_open_seconds 3'],
      [
        '# HELP shop_open_seconds Things.',
        '# TYPE shop_open_seconds gauge',
        '# UNIT shop_open_seconds seconds',
        'shop_open_seconds 3',
        '# EOF',
      ],
    ],
    [
      'an info',
      { name: 'shop', type: 'info', labels: ['version'] },
      ['1.2'],
      ['# HELP shop_info Things.', '# TYPE shop_info gauge', 'shop_info{version="1.2"} 3'],
      ['# HELP shop Things.', '# TYPE shop info', 'shop_info{version="1.2"} 3', '# EOF'],
    ],
    [
      'help and labels with signs of the format',
      { labels: ['sku', 'n'], help: 'a\\b\n"c"' },
      ['x"\\\ny', 7],
      [
        '# HELP shop_things a\\\\b\\n"c"',
        '# TYPE shop_things gauge',
        'shop_things{sku="x\\"\\\\\\ny",n="7"} 3',
      ],
      [
        '# HELP shop_things a\\\\b\\n\\"c\\"',
        '# TYPE shop_things gauge',
        'shop_things{sku="x\\"\\\\\\ny",n="7"} 3',
        '# EOF',
      ],
    ],
  ])('%s', (_, family, labels, prometheus, openmetrics) => {
    const write = (text: Exposition) => text.add(of(family), labels, 3);
    expect(written('prometheus', write).split('\n')).toEqual([...prometheus, '']);
    expect(written('openmetrics', write).split('\n')).toEqual([...openmetrics, '']);
  });

  it('has one head above all its samples', () => {
    const family = of({ labels: ['n'] });
    const text = written('prometheus', (text) => {
      for (const n of [1, 2]) text.add(family, [n], n);
    });
    expect(text.match(/# TYPE/g)).toHaveLength(1);
  });

  it('refuses samples that stand apart, and labels too few', () => {
    const [one, other] = [of({}), of({ name: 'shop_others' })];
    const text = new Exposition('prometheus');
    text.add(one, [], 1);
    text.add(other, [], 1);
    expect(() => text.add(one, [], 2)).toThrow('samples of shop_things are not together');
    expect(() => text.add(other, ['x'], 2)).toThrow('shop_others has 0 labels, not 1');
  });

  it('says its buckets with all below them', () => {
    const family = of({ name: 'shop_wait_seconds', type: 'histogram', labels: ['till'] });
    const data = { upper: [0.000016, 1], counts: [2, 0, 3], sum: 12.5 };
    expect(
      written('prometheus', (text) => text.histogram(family, ['a'], data))
        .split('\n')
        .slice(2),
    ).toEqual([
      'shop_wait_seconds_bucket{till="a",le="0.000016"} 2',
      'shop_wait_seconds_bucket{till="a",le="1.0"} 2',
      'shop_wait_seconds_bucket{till="a",le="+Inf"} 5',
      'shop_wait_seconds_sum{till="a"} 12.5',
      'shop_wait_seconds_count{till="a"} 5',
      '',
    ]);
  });

  it.each([
    [Number.NaN, 'NaN'],
    [Number.POSITIVE_INFINITY, '+Inf'],
    [Number.NEGATIVE_INFINITY, '-Inf'],
    [1e21, '1e+21'],
    [0.1, '0.1'],
  ])('says %s as %s', (value, said) => {
    expect(written('prometheus', (text) => text.add(FAMILY, [], value))).toContain(`shop_things ${said}\n`);
  });
});

describe('the format', () => {
  it.each<[string, Format]>([
    ['', 'prometheus'],
    ['*/*', 'prometheus'],
    ['text/plain;version=0.0.4', 'prometheus'],
    ['application/openmetrics-text', 'openmetrics'],
    ['application/openmetrics-text; version=1.0.0; charset=utf-8', 'openmetrics'],
    ['application/openmetrics-text;version=0.0.1', 'prometheus'],
    // What Prometheus asks for by default.
    [
      'application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2',
      'openmetrics',
    ],
    ['application/openmetrics-text;q=0.3, text/plain;q=0.5', 'prometheus'],
    ['application/openmetrics-text;q=0', 'prometheus'],
    ['application/openmetrics-text;q=nonsense', 'prometheus'],
  ])('for Accept: %s is %s', (accept, format) => {
    expect(formatFor(accept)).toBe(format);
  });
});

describe('the families', () => {
  const all: Family[] = Object.values(FAMILIES);

  it('have names by convention, each once', () => {
    for (const { name, type, help, labels } of all) {
      expect(name).toMatch(/^(holdfast|process)(_[a-z0-9]+)+$/);
      expect(name).not.toMatch(/_(total|bucket|sum|count|info)$/);
      expect(help).toMatch(/^[A-Z0-9].*\.$/);
      expect(labels).not.toContain('le');
      if (type === 'histogram') expect(name).toMatch(/_seconds$/);
    }
    expect(new Set(all.map(({ name }) => name)).size).toBe(all.length);
  });
});

describe('the reader that the tests use', () => {
  it.each<[string, string]>([
    ['a sample without a family', 'a 1\n'],
    ['a sample twice', '# HELP a A.\n# TYPE a gauge\na 1\na 2\n'],
    ['a label without quotes', '# HELP a A.\n# TYPE a gauge\na{b=c} 1\n'],
    ['a counter of another name', '# HELP a A.\n# TYPE a counter\na_total 1\n'],
    ['a counter below zero', '# HELP a A.\n# TYPE a counter\na -1\n'],
    ['a family without samples', '# HELP a A.\n# TYPE a gauge\n'],
    [
      'buckets that sink',
      '# HELP a A.\n# TYPE a histogram\na_bucket{le="1"} 2\na_bucket{le="+Inf"} 1\na_sum 1\na_count 1\n',
    ],
    ['a count of its own', '# HELP a A.\n# TYPE a histogram\na_bucket{le="+Inf"} 1\na_sum 1\na_count 2\n'],
    ['the mark of the other format', '# HELP a A.\n# TYPE a gauge\na 1\n# EOF\n'],
  ])('refuses %s', (_, text) => {
    expect(() => readExposition(text, 'prometheus')).toThrow();
  });
});
