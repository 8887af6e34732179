/**
 * The report's style sheet: one column, no external resources, light and dark by the reader's preference,
 * printable.
 */
export const STYLE = `
:root{color-scheme:light dark;--bg:#f6f7f9;--card:#fff;--text:#1c2330;--dim:#5c6675;--line:#e2e6ec;--soft:#eef1f5;
--good:#16794c;--good-bg:#dff5e8;--caution:#8a5a00;--caution-bg:#fdf0d0;--bad:#b3261e;--bad-bg:#fde4e1;--accent:#2f62d9;
--add:#e4f6ea;--add-text:#116138;--remove:#fdeaea;--remove-text:#9d2420}
@media (prefers-color-scheme:dark){:root{--bg:#0f1319;--card:#171d26;--text:#e4e8ef;--dim:#98a3b3;--line:#29313d;--soft:#1f2732;
--good:#5fd39a;--good-bg:#12331f;--caution:#f0c168;--caution-bg:#3a2c0c;--bad:#ff8a80;--bad-bg:#421b19;--accent:#7ea6ff;
--add:#11301f;--add-text:#8fe0b3;--remove:#3a1a1b;--remove-text:#ffaaa5}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--text);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Liberation Sans",sans-serif}
main{max-width:1080px;margin:0 auto;padding:32px 20px 64px}
code,pre,.mono{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono","Liberation Mono",monospace;font-size:.88em}
h1{font-size:34px;line-height:1.15;margin:2px 0 12px;letter-spacing:-.02em;overflow-wrap:anywhere}
h2{font-size:18px;margin:40px 0 12px;letter-spacing:-.01em}
h2 small{font-weight:400;color:var(--dim);font-size:14px;margin-left:8px}
.eyebrow{color:var(--dim);font-size:13px}
.verdict{display:inline-flex;align-items:center;gap:8px;padding:6px 14px 6px 10px;border-radius:999px;font-weight:650}
.verdict::before{display:inline-grid;place-items:center;width:20px;height:20px;border-radius:50%;color:var(--card);font-size:13px;font-weight:800;line-height:1}
.good{color:var(--good);background:var(--good-bg)}.good::before{content:"✓";background:var(--good)}
.caution{color:var(--caution);background:var(--caution-bg)}.caution::before{content:"!";background:var(--caution)}
.bad{color:var(--bad);background:var(--bad-bg)}.bad::before{content:"✕";background:var(--bad)}
.lead{font-size:17px;margin:12px 0 0;max-width:72ch}
.card{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:16px 18px}
.card+.card{margin-top:10px}.tiles .card,.two .card{margin-top:0}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(190px,1fr));gap:12px;margin-top:24px}
.tile b{display:block;font-size:22px;line-height:1.25;letter-spacing:-.01em}.tile span{color:var(--dim);font-size:13px}
.error{border-color:var(--bad);border-left-width:5px}.error p{margin:6px 0 0}.error .advice{font-weight:600}
table{border-collapse:collapse;width:100%}
th,td{text-align:left;padding:6px 12px 6px 0;vertical-align:top;border-top:1px solid var(--line);overflow-wrap:anywhere}
tr:first-child>th,tr:first-child>td{border-top:0}
thead th{color:var(--dim);font-weight:500;font-size:13px;white-space:nowrap}thead+tbody tr:first-child td{border-top:1px solid var(--line)}
.num{text-align:right;padding-right:12px;white-space:nowrap;font-variant-numeric:tabular-nums}
.key{white-space:nowrap}
.facts th{color:var(--dim);font-weight:500;width:170px}
.two{display:grid;grid-template-columns:1fr 1fr;gap:12px}@media (max-width:800px){.two{grid-template-columns:1fr}}
.scroll{overflow-x:auto}
.stages{display:grid;grid-template-columns:auto minmax(120px,1fr) auto auto auto;column-gap:16px;row-gap:6px;align-items:center}
.stages .head{color:var(--dim);font-size:13px}.stages .name{font-weight:600}
.stages .num{font-size:14px}
.track{position:relative;height:22px;background:var(--soft);border-radius:5px;overflow:hidden}
.bar{position:absolute;top:0;bottom:0;min-width:3px;border-radius:5px;background:var(--accent)}
.bar.failed,.bar.cancelled{background:var(--bad)}.bar.reused{background:var(--dim)}
.track .note{position:absolute;left:8px;top:1px;font-size:12px;color:var(--dim)}
.levels{display:flex;list-style:none;margin:4px 0 18px;padding:0}
.levels li{flex:1;position:relative;text-align:center;font-size:13px;color:var(--dim)}
.levels li::before{content:"";display:block;width:16px;height:16px;margin:0 auto 6px;border-radius:50%;background:var(--card);border:2px solid var(--line);position:relative;z-index:1}
.levels li::after{content:"";position:absolute;top:8px;right:50%;width:100%;height:2px;background:var(--line)}
.levels li:first-child::after{display:none}
.levels .reached{color:var(--text)}.levels .reached::before{background:var(--good);border-color:var(--good)}.levels .reached::after{background:var(--good)}
.levels .stopped::before{background:var(--bad);border-color:var(--bad)}
.levels b{display:block;font-weight:600}
.screens{display:grid;grid-template-columns:repeat(auto-fill,minmax(300px,1fr));gap:14px;margin-top:14px}
figure{margin:0}figure img{display:block;width:100%;border:1px solid var(--line);border-radius:8px;background:#000}
figcaption{color:var(--dim);font-size:13px;margin-top:4px}
details{background:var(--card);border:1px solid var(--line);border-radius:12px;margin-top:10px;overflow:hidden}
summary{cursor:pointer;padding:11px 16px;overflow-wrap:anywhere}summary .mono{font-weight:600}
summary .fixer{float:right;color:var(--dim);font-size:13px;margin-left:12px}
.chip{display:inline-block;min-width:64px;text-align:center;background:var(--soft);color:var(--dim);border-radius:6px;font-size:12px;padding:1px 8px;margin-right:10px}
.reason{margin:0;padding:0 16px 12px;color:var(--dim)}
pre{margin:0;padding:12px 16px;overflow-x:auto;line-height:1.45}
.diff,.log{border-top:1px solid var(--line);background:var(--card)}
.diff span{display:block;padding:0 16px;margin:0 -16px;min-width:max-content}
.diff .add{background:var(--add);color:var(--add-text)}.diff .remove{background:var(--remove);color:var(--remove-text)}
.diff .hunk{color:var(--dim)}
.log{max-height:420px;overflow:auto;font-size:12.5px;white-space:pre-wrap;overflow-wrap:anywhere}
ul.plain{margin:0;padding-left:20px}
.digest{font-size:12px;color:var(--dim)}
footer{margin-top:44px;color:var(--dim);font-size:13px}
@media (max-width:640px){.stages{grid-template-columns:auto 1fr auto}.stages .bytes{display:none}.levels{font-size:10.5px}.levels b{letter-spacing:-.02em}}
@media print{body{background:#fff}.log{max-height:none}details,.card{break-inside:avoid}}
`;
