"""The style sheet of the report page: one column, light and dark, narrow screens, print."""

STYLE = """
:root {
  --text: #1b1b1b; --soft: #595959; --paper: #fdfdfb; --line: #d9d7d0; --code: #f1efe9;
  --series-0: #0072b2; --series-1: #d55e00; --series-2: #009e73; --series-3: #cc79a7; --series-4: #56b4e9;
  --series-5: #e69f00;
}
@media (prefers-color-scheme: dark) {
  :root {
    --text: #e8e6e1; --soft: #a9a69f; --paper: #17181a; --line: #3a3b3e; --code: #232528;
    --series-0: #58aee6; --series-1: #f08a4b; --series-2: #35c79a; --series-3: #e6a3c8; --series-4: #8fd0f5;
    --series-5: #f2bd4a;
  }
}
@media print { :root { --text: #000; --paper: #fff; } section { break-inside: avoid; } }
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--paper); color: var(--text);
  font: 1.0625rem/1.6 Charter, "Bitstream Charter", "Iowan Old Style", Palatino, Georgia, serif;
  -webkit-text-size-adjust: 100%;
}
main { max-width: 42rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .75rem; }
h2 { font-size: 1.25rem; line-height: 1.3; margin: 3rem 0 .5rem; }
p { margin: 0 0 1rem; hyphens: auto; }
.lead { font-size: 1.125rem; }
code {
  font: .875em/1.4 ui-monospace, "SF Mono", Menlo, Consolas, monospace; background: var(--code);
  padding: .1em .3em; border-radius: 3px; overflow-wrap: anywhere;
}
.wide { overflow-x: auto; }
table {
  border-collapse: collapse; width: 100%; font-size: .95rem; font-variant-numeric: tabular-nums lining-nums;
  line-height: 1.35; margin: 1rem 0;
}
caption { caption-side: bottom; text-align: left; color: var(--soft); font-size: .875rem; padding-top: .5rem; }
th, td {
  padding: .4rem 0 .4rem 1rem; text-align: right; vertical-align: baseline;
  border-bottom: 1px solid var(--line); white-space: nowrap;
}
thead th { font-weight: 600; font-size: .875rem; border-bottom: 2px solid var(--text); white-space: normal; }
th:first-child { text-align: left; padding-left: 0; }
tbody th { font-weight: 400; white-space: normal; }
figure { margin: 1.25rem 0; }
figcaption { color: var(--soft); font-size: .875rem; line-height: 1.45; }
svg { display: block; width: 100%; min-width: 24rem; height: auto; }
svg text {
  font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif !important;
}
.task { margin: 1.25rem 0; }
.row { display: flex; gap: .9rem; padding: .45rem 0; border-bottom: 1px solid var(--line); align-items: flex-start; }
.row.head {
  align-items: baseline; color: var(--soft); font-size: .875rem; border-bottom: 2px solid var(--text);
  padding: 0 0 .25rem;
}
.head .queries { display: block; }
.known { flex: 0 0 7.2rem; position: relative; padding-left: 1.4rem; line-height: 1.2; }
.head .known { padding-left: 0; }
.known b { position: absolute; left: 0; top: .1rem; font-variant-numeric: lining-nums; }
.known small { display: block; color: var(--soft); font-size: .75rem; overflow-wrap: anywhere; margin-top: .2rem; }
.queries {
  flex: 1; display: grid; grid-template-columns: repeat(var(--columns), minmax(0, 3.6rem)); gap: .6rem .7rem;
}
.tile { margin: 0; text-align: center; }
.tile img {
  display: block; width: 100%; aspect-ratio: 1; background: #fff; border: 1px solid #bbb;
  border-radius: 3px; padding: 2px;
}
.tile figcaption {
  font: .72rem/1.25 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; margin-top: .15rem;
  color: var(--soft);
}
.tile.example img { border: 2px solid #555; }
.tile.wrong img { border: 4px double #c00; padding: 0; }
.tile.wrong figcaption { font-weight: 700; color: var(--text); }
.known .tile { display: inline-block; width: 3.6rem; margin-right: .3rem; }
footer {
  margin-top: 3.5rem; padding-top: 1rem; border-top: 1px solid var(--line); color: var(--soft);
  font-size: .875rem;
}
@media (max-width: 30rem) {
  main { padding: 1.5rem 1rem 3rem; }
  .known { flex-basis: 5.4rem; }
  .known, .queries { gap: .5rem; }
  .known .tile { width: 2.8rem; }
  th, td { padding-left: .6rem; }
}
"""
