/** The report's style sheet, for light and dark. The code that draws takes its colours from it by their names. */
export const STYLE = `
:root {
  --back: #ffffff;
  --text: #1b1f24;
  --soft: #5c6570;
  --line: #d9dee3;
  --panel: #f6f8fa;
  --good: #0a7a4b;
  --bad: #b3261e;
  --blue: #0b6bb8;
  --orange: #b95c00;
  --green: #0a8f6c;
  --red: #c4361f;
  --purple: #8a4fa8;
  --none: #e3e7eb;
}

@media (prefers-color-scheme: dark) {
  :root {
    --back: #14171b;
    --text: #e6e9ec;
    --soft: #9aa4ae;
    --line: #333a42;
    --panel: #1c2126;
    --good: #4ccf95;
    --bad: #ff8a7a;
    --blue: #5fb4f5;
    --orange: #f0a24a;
    --green: #45cfa6;
    --red: #ff8163;
    --purple: #cf9be8;
    --none: #2b3138;
  }
}

* {
  box-sizing: border-box;
}

body {
  margin: 0 auto;
  padding: 1rem 1.5rem 3rem;
  max-width: 1500px;
  background: var(--back);
  color: var(--text);
  font:
    15px / 1.45 system-ui,
    sans-serif;
}

header {
  display: flex;
  flex-wrap: wrap;
  align-items: baseline;
  gap: 0.25rem 1.5rem;
  border-bottom: 1px solid var(--line);
}

nav {
  display: flex;
  flex-wrap: wrap;
  gap: 0.25rem 1rem;
}

a {
  color: var(--blue);
}

h1 {
  margin: 0.25rem 0;
  font-size: 1.3rem;
}

h2 {
  margin: 1.75rem 0 0.5rem;
  font-size: 1.6rem;
  overflow-wrap: anywhere;
}

h3 {
  margin: 0 0 0.4rem;
  font-size: 1rem;
}

p {
  margin: 0.4rem 0;
}

.good {
  color: var(--good);
}

.bad {
  color: var(--bad);
  font-weight: 600;
}

.figures {
  display: flex;
  flex-wrap: wrap;
  gap: 0.6rem;
  margin: 0.8rem 0;
}

.figures div {
  padding: 0.45rem 0.9rem;
  background: var(--panel);
  border: 1px solid var(--line);
  border-radius: 6px;
}

.figures dd {
  margin: 0;
  font-size: 1.25rem;
  font-weight: 600;
  font-variant-numeric: tabular-nums;
}

.figures dt,
figcaption {
  color: var(--soft);
  font-size: 0.85rem;
}

.plots {
  display: grid;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 520px), 1fr));
  gap: 1rem;
  margin: 1rem 0 1.5rem;
}

figure {
  margin: 0;
  padding: 0.8rem;
  min-width: 0;
  background: var(--panel);
  border: 1px solid var(--line);
  border-radius: 6px;
}

.plot {
  min-height: 300px;
}

.plot:has(.note) {
  min-height: 0;
}

.plot .note {
  color: var(--soft);
}

.u-legend {
  color: var(--text);
  font-size: 0.85rem;
  text-align: left;
}

.u-legend .u-marker {
  border-radius: 2px;
}

.heat-note {
  min-height: 1.5em;
  font-size: 0.85rem;
  font-variant-numeric: tabular-nums;
}

.heat-key {
  display: flex;
  align-items: center;
  gap: 0.5rem;
  font-size: 0.85rem;
}

.wide {
  overflow-x: auto;
}

table {
  border-collapse: collapse;
  font-variant-numeric: tabular-nums;
}

table:not(.u-legend) :is(td, th) {
  padding: 0.25rem 0.8rem 0.25rem 0;
  border-bottom: 1px solid var(--line);
  text-align: right;
  font-weight: normal;
}

table:not(.u-legend) th {
  color: var(--soft);
}

table:not(.u-legend) :is(td, th):first-child,
table.conditions:not(.u-legend) :is(td, th) {
  text-align: left;
}

.conditions {
  margin-top: 1.5rem;
  overflow-wrap: anywhere;
}
`;
