/** Builds the dashboard into app/static/dashboard; `npm run dev` passes /api on to a running server. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipAsync } from '@gfx/zopfli';
import react from '@vitejs/plugin-react';
import { defineConfig, type Plugin } from 'vite';

/** Writes a .gz beside each file but the page, which the server completes. Built once, it can afford zopfli: 4 % smaller than compression on the fly. */
function packed(): Plugin {
  return {
    name: 'packed',
    apply: 'build',
    async writeBundle({ dir = '' }) {
      for (const name of readdirSync(dir, { recursive: true }) as string[]) {
        if (!/\.(js|css|svg)$/.test(name)) continue;
        writeFileSync(join(dir, `${name}.gz`), await gzipAsync(readFileSync(join(dir, name)), { numiterations: 15 }));
      }
    },
  };
}

const UNUSED =
  'rangeLog|rangeAsinh|logAxisSplits|asinhAxisSplits|log10AxisValsFilt|log2AxisValsFilt|snapLogY|snapAsinhY' +
  '|clipBandLine|initLegendRow|addSeries|delSeries|addBand|delBand|setBand';

/** Leaves out of uPlot what no chart here has: stairs, bars, curves, joined tables, logarithms, bands, legends. */
function straightLines(): Plugin {
  return {
    name: 'straight-lines',
    apply: 'build',
    transform(code, id) {
      if (!id.endsWith('/uPlot.esm.js')) return;
      const paths = /^\s*(\(paths\.(stepped|bars|spline) +=|uPlot\.join =).*$/gm;
      const functions = new RegExp(`^(\\t?)function (${UNUSED})\\([^]*?^\\1}$`, 'gm');
      if (code.match(paths)?.length !== 4 || code.match(functions)?.length !== UNUSED.split('|').length)
        this.error('uPlot names its parts in another way now');
      return { code: code.replace(paths, '').replace(functions, 'function $2() {}'), map: null };
    },
  };
}

/** The oldest browsers that the dashboard serves: docs/reference/dashboard.md. tsconfig's `lib` is what all of them know. */
const BROWSERS = ['chrome111', 'edge111', 'firefox113', 'safari16.4'];

export default defineConfig({
  base: './', // the server puts its prefix in place of the dot
  plugins: [react(), straightLines(), packed()],
  build: {
    outDir: '../static/dashboard',
    emptyOutDir: true,
    target: BROWSERS,
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    reportCompressedSize: false,
  },
  server: { proxy: { '/api': 'http://127.0.0.1:8000' } },
});
