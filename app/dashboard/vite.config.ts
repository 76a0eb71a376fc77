/** Builds the dashboard into app/static/dashboard; `npm run dev` passes /api on to a running server. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipAsync } from '@gfx/zopfli';
import react from '@vitejs/plugin-react';
import { defineConfig, type Plugin } from 'vite';
import { smallReact, straightLines } from './leftOut';

/** What a browser may have to load, in bytes of gzip: for the first page, and for any other; in either language. */
const FIRST = 90_000;
const ANY = 140_000;

/**
 * Writes a .gz beside each file but the page, which the server completes. Built once, it can afford zopfli: 4 % smaller
 * than compression on the fly. Fails if a page has become too heavy.
 */
function packed(): Plugin {
  return {
    name: 'packed',
    apply: 'build',
    async writeBundle({ dir = '' }, bundle) {
      const sizes = new Map<string, number>();
      for (const name of readdirSync(dir, { recursive: true }) as string[]) {
        if (!/\.(js|css|svg)$/.test(name)) continue;
        const body = await gzipAsync(readFileSync(join(dir, name)), { numiterations: 40 });
        writeFileSync(join(dir, `${name}.gz`), body);
        sizes.set(name.replaceAll('\\', '/'), body.length);
      }
      const chunks = Object.values(bundle).filter((file) => file.type === 'chunk');
      const filesOf = (name: string): string[] => {
        const chunk = chunks.find((one) => one.fileName === name);
        return chunk ? [name, ...(chunk.viteMetadata?.importedCss ?? []), ...chunk.imports.flatMap(filesOf)] : [name];
      };
      const weigh = (name: string, parts: readonly string[], limit: number) => {
        const size = [...new Set(parts.flatMap(filesOf))].reduce((sum, file) => sum + (sizes.get(file) ?? 0), 0);
        console.info(`${name}: ${(size / 1000).toFixed(1)} kB gzip`);
        if (size > limit) this.error(`${name} is heavier than ${limit / 1000} kB`);
      };
      const first = chunks.filter((one) => one.isEntry || one.name === 'vi').map((one) => one.fileName);
      weigh('First page', first, FIRST);
      const words = chunks.filter((one) => one.name === 'vi.pages').map((one) => one.fileName);
      for (const one of chunks) if (one.name.endsWith('Page')) weigh(one.name, [...first, ...words, one.fileName], ANY);
    },
  };
}

/** The oldest browsers that the dashboard serves: docs/reference/dashboard.md. tsconfig's `lib` is what all of them know. */
const BROWSERS = ['chrome111', 'edge111', 'firefox113', 'safari16.4'];

export default defineConfig({
  base: './', // the server puts its prefix in place of the dot
  plugins: [react(), smallReact(), straightLines(), packed()],
  build: {
    outDir: '../static/dashboard',
    emptyOutDir: true,
    target: BROWSERS,
    modulePreload: false,
    assetsInlineLimit: 0,
    reportCompressedSize: false,
    rolldownOptions: {
      output: {
        // What the first page needs is one file, and what others share another: they compress better, and ask the server once.
        codeSplitting: {
          groups: [
            { name: 'first', tags: ['$initial'], priority: 1 },
            {
              name: 'parts',
              test: /\/src\/(components\/(?!Chart|SessionCharts)|i18n\/(states|refusals)|api\/)/,
              minShareCount: 2,
            },
          ],
        },
      },
    },
  },
  server: { proxy: { '/api': 'http://127.0.0.1:8000' } },
});
