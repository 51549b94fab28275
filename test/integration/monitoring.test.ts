import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Op, opByName, StockMode } from '../../protocol/ops.ts';
import { statusByName } from '../../protocol/status.ts';
import { FAMILIES, type Family, sampleName } from '../../src/metrics/families.ts';
import { readExposition, type Sample } from '../fixtures/exposition.ts';
import { promtool, whyNoPromtool } from '../fixtures/promtool.ts';
import { RawClient } from '../fixtures/raw-client.ts';
import { type ServerProcess, startServer } from '../fixtures/server.ts';
import { tempDir } from '../fixtures/temp-dir.ts';
import { root } from '../hygiene/source-files.ts';

const FOLDER = 'scripts/monitoring';
const rules = readFileSync(join(root, FOLDER, 'alerts.yml'), 'utf8');
const ruleTests = readFileSync(join(root, FOLDER, 'alerts.test.yml'), 'utf8');
const dashboard = JSON.parse(readFileSync(join(root, FOLDER, 'grafana-dashboard.json'), 'utf8')) as Dashboard;

interface Dashboard {
  readonly annotations: { readonly list: readonly { readonly expr: string }[] };
  readonly panels: readonly {
    readonly title: string;
    readonly targets?: readonly { readonly expr: string; readonly legendFormat: string }[];
  }[];
}

/** Every query of the two files, by where it stands. */
const queries: [string, string][] = [
  ...[...rules.matchAll(/- alert: (\w+)\n +expr: (\||[^\n]+)\n((?: {10}.*\n)*)/g)].map(
    ([, alert, first, rest]): [string, string] => [alert, first === '|' ? rest : first],
  ),
  ...dashboard.annotations.list.map(({ expr }): [string, string] => ['annotation', expr]),
  ...dashboard.panels.flatMap(({ title, targets = [] }) =>
    targets.map(({ expr }): [string, string] => [title, expr]),
  ),
];
const alerts = [...rules.matchAll(/- alert: (\w+)/g)].map(([, name]) => name);

/** Labels by sample name; Prometheus itself adds where a sample is from. */
const LABELS = new Map<string, readonly string[]>([
  ['up', ['job', 'instance']],
  ...(Object.values(FAMILIES) as Family[]).flatMap((family): [string, string[]][] => {
    const labels = ['job', 'instance', ...family.labels];
    const name = sampleName(family);
    return family.type === 'histogram'
      ? [
          [`${name}_bucket`, [...labels, 'le']],
          [`${name}_sum`, labels],
          [`${name}_count`, labels],
        ]
      : [[name, labels]];
  }),
]);

interface Selector {
  readonly metric: string;
  readonly matchers: readonly { readonly label: string; readonly operator: string; readonly value: string }[];
}

function selectorsOf(query: string): Selector[] {
  return [...query.matchAll(/\b((?:holdfast|process)_\w+|up\b)(?:\{([^}]*)\})?/g)].map(
    ([, metric, inside = '']) => ({
      metric,
      matchers: [...inside.matchAll(/(\w+)(=~|!~|!=|=)"([^"]*)"/g)].map(([, label, operator, value]) => ({
        label,
        operator,
        value,
      })),
    }),
  );
}

const labelsIn = (query: string) =>
  new Set(selectorsOf(query).flatMap(({ metric }) => LABELS.get(metric) ?? []));

describe('the dashboard and the alert rules', () => {
  let server: ServerProcess;
  let text = '';
  let samples: Sample[] = [];
  const path = tempDir();

  beforeAll(async () => {
    server = await startServer({ store: `file:${path('store')}`, ack: 'sync' });
    const client = await RawClient.connect(server.url);
    await client.call(Op.STOCK, 'one', StockMode.TOTAL, 5);
    text = await (await fetch(`${server.httpUrl}/metrics`)).text();
    await client.close();
    samples = readExposition(text, 'prometheus').flatMap((family) => family.samples);
  });
  afterAll(() => server.stop());

  it('are read to their end', () => {
    expect(alerts.length).toBeGreaterThan(10);
    expect(queries.length).toBeGreaterThan(alerts.length + 40);
    expect(alerts.filter((alert) => !queries.some(([where]) => where === alert))).toEqual([]);
    expect(queries.filter(([, query]) => selectorsOf(query).length === 0)).toEqual([]);
  });

  it.each(queries)('%s asks for metrics that the server has, with labels that they have: %s', (_, query) => {
    for (const { metric, matchers } of selectorsOf(query)) {
      expect([...LABELS.keys()]).toContain(metric);
      for (const { label } of matchers) expect(LABELS.get(metric)).toContain(label);
    }
    for (const [, list] of query.matchAll(/\bby \(([^)]*)\)/g)) {
      for (const label of list.split(',')) expect([...labelsIn(query)]).toContain(label.trim());
    }
  });

  it.each(queries)('%s asks for values that labels have: %s', (_, query) => {
    for (const { metric, matchers } of selectorsOf(query)) {
      for (const { label, operator, value } of matchers) {
        if (label === 'job' || label === 'instance') continue;
        const known = samples.filter(({ name }) => name === metric).map(({ labels }) => labels[label]);
        const isKnown = (one: string) =>
          known.includes(one) ||
          // Those that have not happened yet are not told.
          (label === 'op' && opByName(one) > 0) ||
          (label === 'status' && statusByName(one) >= 0);
        const values = operator.endsWith('~') ? value.split('|') : [value];
        for (const one of values) {
          const some = one.endsWith('.*')
            ? known.some((name) => name?.startsWith(one.slice(0, -2)))
            : isKnown(one);
          expect(some, `${metric}{${label}="${one}"}`).toBe(true);
        }
      }
    }
  });

  it('name only labels that a query leaves, in legends and in texts', () => {
    const legends = dashboard.panels.flatMap(({ targets = [] }) =>
      targets.flatMap(({ expr, legendFormat }) =>
        [...legendFormat.matchAll(/\{\{(\w+)\}\}/g)].filter(([, label]) => !labelsIn(expr).has(label)),
      ),
    );
    expect(legends).toEqual([]);
    const texts = rules.split('- alert: ').slice(1);
    const wrong = texts.flatMap((rule) =>
      [...rule.matchAll(/\$labels\.(\w+)/g)].filter(([, label]) => !labelsIn(rule).has(label)),
    );
    expect(wrong).toEqual([]);
  });

  it('have a test for every alert, in which it fires', () => {
    const fired = [...ruleTests.matchAll(/alertname=\\?"(\w+)/g)].map(([, name]) => name);
    expect([...new Set(fired)].sort()).toEqual([...alerts].sort());
  });

  describe.skipIf(whyNoPromtool !== undefined)('by promtool', () => {
    it('the metrics are as they should be', () => {
      expect(promtool(['check', 'metrics'], text)).toEqual({ code: 0, says: '' });
      expect(promtool(['check', 'metrics'], `${text}holdfast_x 1\n`).code).not.toBe(0);
    });

    it('the rules are as they should be', () => {
      expect(promtool(['check', 'rules', 'alerts.yml'], '', FOLDER)).toMatchObject({ code: 0 });
    });

    it('every alert fires in its trouble, and none in the calm', () => {
      expect(promtool(['test', 'rules', 'alerts.test.yml'], '', FOLDER)).toMatchObject({ code: 0 });
    });
  });
});
