/**
 * Left out of the build: what React and uPlot can do and no page here asks of them.
 *
 * Invariant: only where a feature begins is replaced, by code that throws and says what it was; what is behind it goes
 * because nothing calls it any more. So code that asks for it all the same is loud, and a release that names its parts
 * in another way fails the build. Development and unit tests have all of both.
 */
import type { Plugin } from 'vite';

/**
 * Where a feature of React begins: class components, Activity, SuspenseList, hydration, view transitions, refs of
 * fragments, form actions, optimistic state, custom elements, resources that are preloaded or rendered as elements.
 */
const ENTRANCES = words(`
  updateClassComponent updateActivityComponent updateSuspenseListComponent updateDehydratedSuspenseComponent
  startViewTransition createViewTransitionInstance FragmentInstance ReactDOMHydrationRoot
  mountActionState updateActionState updateActionStateImpl rerenderActionState startHostTransition updateOptimisticImpl
  dispatchOptimisticSetState getResource setPropOnCustomElement createFiberFromDehydratedFragment
  prefetchDNS preconnect preload preloadModule preinitStyle preinitScript preinitModuleScript
  acquireResource mountHoistable suspendResource createHoistableInstance
  canHydrateInstance canHydrateTextInstance canHydrateHydrationBoundary prepareToHydrateHostInstance
  throwOnHydrationMismatch retryIfBlockedOn attemptExplicitHydrationTarget
  applyViewTransitionToHostInstances restoreViewTransitionOnHostInstances
`);

/** A feature of its own that nothing inside React calls: without it, `hydrateRoot` is not there to be imported. */
const HYDRATE = /^exports\.hydrateRoot = function[^]*?^};$/gm;

export function smallReact(): Plugin {
  return {
    name: 'small-react',
    apply: 'build',
    transform(code, id) {
      if (!id.endsWith('/react-dom-client.production.js')) return;
      const entrances = functions(ENTRANCES);
      if (code.match(entrances)?.length !== ENTRANCES.length || code.match(HYDRATE)?.length !== 1)
        this.error('React names its parts in another way now');
      return { code: code.replace(HYDRATE, '').replace(entrances, THROWS), map: null };
    },
  };
}

const UNUSED = words(`
  rangeLog rangeAsinh logAxisSplits asinhAxisSplits log10AxisValsFilt log2AxisValsFilt snapLogY snapAsinhY
  clipBandLine initLegendRow addSeries delSeries addBand delBand setBand
`);
const PATHS = /^\s*(\(paths\.(stepped|bars|spline) +=|uPlot\.join =).*$/gm;

/** Leaves out of uPlot what no chart here asks for: stairs, bars, curves, joined tables, logarithms, bands, legends. */
export function straightLines(): Plugin {
  return {
    name: 'straight-lines',
    apply: 'build',
    transform(code, id) {
      if (!id.endsWith('/uPlot.esm.js')) return;
      const unused = functions(UNUSED);
      if (code.match(PATHS)?.length !== 4 || code.match(unused)?.length !== UNUSED.length)
        this.error('uPlot names its parts in another way now');
      return { code: code.replace(PATHS, '').replace(unused, THROWS), map: null };
    },
  };
}

function words(text: string): string[] {
  return text.trim().split(/\s+/);
}

const THROWS = "function $2() { throw Error('left out of the build: $2'); }";

/** Finds whole functions by name; the second group is the name. */
function functions(names: readonly string[]): RegExp {
  return new RegExp(`^(\\t?)function (${names.join('|').replaceAll('$', '\\$')})\\([^]*?^\\1}$`, 'gm');
}
