/**
 * Left out of the build: what React and uPlot can do and no page here asks of them. Of the first page it was a sixth.
 *
 * Invariant: code that asks React for it all the same throws at once, and a release that names its parts in another way
 * fails the build. Development and unit tests have all of both.
 */
import type { Plugin } from 'vite';

/**
 * Where a feature of React begins: class components, Activity, SuspenseList, hydration, view transitions, refs of
 * fragments, form actions, optimistic state, custom elements, and style sheets and scripts rendered as elements.
 */
const ENTRANCES = words(`
  updateClassComponent updateActivityComponent updateSuspenseListComponent updateDehydratedSuspenseComponent
  startViewTransition createViewTransitionInstance FragmentInstance ReactDOMHydrationRoot
  mountActionState updateActionState updateActionStateImpl rerenderActionState startHostTransition updateOptimisticImpl
  dispatchOptimisticSetState getResource setPropOnCustomElement createFiberFromDehydratedFragment
`);

/**
 * What lies behind them. React calls some of it in any case, and finds nothing to do there. Stacks of components go too:
 * in a build they name nothing.
 */
const BEHIND = words(`
  applyDerivedStateFromProps checkShouldComponentUpdate callComponentWillReceiveProps resolveClassComponentProps
  createClassErrorUpdate initializeClassErrorUpdate safelyCallComponentWillUnmount

  mountActivityChildren retryActivityComponentWithoutHydrating findLastContentRow initSuspenseListRenderState
  reverseChildren cutOffTailIfNeeded findFirstSuspended

  throwOnHydrationMismatch prepareToHydrateHostInstance popToNextHostParent popHydrationState queueHydrationError
  upgradeHydrationErrorsToRecoverable canHydrateInstance canHydrateTextInstance canHydrateHydrationBoundary
  isSuspenseInstancePending isSuspenseInstanceFallback registerSuspenseInstanceRetry getNextHydratable
  getNextHydratableInstanceAfterHydrationBoundary getParentHydrationBoundary clearHydrationBoundary
  hideOrUnhideDehydratedBoundary retryDehydratedSuspenseBoundary attemptContinuousHydration
  attemptHydrationAtCurrentPriority retrySuspenseComponentWithoutHydrating mountHostRootWithoutHydrating
  getBumpedLaneForHydration getBumpedLaneForHydrationByLane checkForUnmatchedText normalizeMarkupForTextOrAttribute
  commitActivityHydrationCallbacks commitSuspenseHydrationCallbacks
  accumulateOrCreateContinuousQueuedReplayableEvent queueIfContinuousEvent attemptExplicitHydrationTarget
  attemptReplayContinuousQueuedEvent attemptReplayContinuousQueuedEventInMap replayUnblockedEvents
  scheduleCallbackIfUnblocked scheduleReplayQueueIfNeeded retryIfBlockedOn clearIfContinuousEvent

  trackEnterViewTransitions pushViewTransitionCancelableScope applyViewTransitionToHostInstances
  applyViewTransitionToHostInstancesRecursive restoreViewTransitionOnHostInstances commitAppearingPairViewTransitions
  commitEnterViewTransitions commitDeletedPairViewTransitions commitExitViewTransitions commitNestedViewTransitions
  restorePairedViewTransitions restoreEnterOrExitViewTransitions restoreNestedViewTransitions
  measureViewTransitionHostInstancesRecursive measureNestedViewTransitions getViewTransitionName getClassNameByType
  getViewTransitionClassName scheduleViewTransitionEvent reportViewTransitionError
  recursivelyTraverseAfterMutationEffects commitAfterMutationEffectsOnFiber applyViewTransitionName
  restoreViewTransitionName createMeasurement measureInstance measureClonedInstance forceLayout waitForImageToLoad
  ViewTransitionPseudoElement

  commitNewChildToFragmentInstances commitFragmentInstanceInsertionEffects commitFragmentInstanceDeletionEffects
  isFragmentInstanceHostBoundary isFragmentInstanceParent addFragmentHandleToFiber addFragmentHandleToInstance
  commitNewChildToFragmentInstance deleteChildFromFragmentInstance

  dispatchActionState runActionStateAction handleActionReturnValue onActionSuccess onActionError notifyActionListeners
  ensureFormComponentIsStateful coerceFormActionProp extractEvents$1

  isHostHoistableType isCustomElement preconnectAs prefetchDNS preconnect preload preloadModule preinitStyle preinitScript
  preinitModuleScript getStyleKey getStylesheetSelectorFromKey stylesheetPropsFromRawProps preloadStylesheet getScriptKey
  getScriptSelectorFromKey acquireResource insertStylesheet adoptPreloadPropsForStylesheet adoptPreloadPropsForScript
  getHydratableHoistableCache mountHoistable createHoistableInstance suspendResource insertSuspendedStylesheets
  insertStylesheetIntoRoot preloadResourceAndSuspendIfNeeded

  getStackByFiberInDevAndProd describeFiber describeNativeComponentFrame describeBuiltInComponentFrame
`);

/** Methods of what is behind two of the entrances. */
const METHODS = /^(FragmentInstance|ViewTransitionPseudoElement)\.prototype\.\w+ = function[^]*?^};$/gm;
const HYDRATE = /^exports\.hydrateRoot = function[^]*?^};$/gm;

export function smallReact(): Plugin {
  return {
    name: 'small-react',
    apply: 'build',
    transform(code, id) {
      if (!id.endsWith('/react-dom-client.production.js')) return;
      const entrances = functions(ENTRANCES);
      const behind = functions(BEHIND);
      const found = [entrances, behind, METHODS, HYDRATE].map((part) => code.match(part)?.length);
      if (found.join() !== [ENTRANCES.length, BEHIND.length, 15, 1].join())
        this.error('React names its parts in another way now');
      return {
        code: code
          .replace(METHODS, '')
          .replace(HYDRATE, '')
          .replace(entrances, "function $2() { throw Error('left out of the build: $2'); }")
          .replace(behind, 'function $2() { return null; }'),
        map: null,
      };
    },
  };
}

const UNUSED = words(`
  rangeLog rangeAsinh logAxisSplits asinhAxisSplits log10AxisValsFilt log2AxisValsFilt snapLogY snapAsinhY
  clipBandLine initLegendRow addSeries delSeries addBand delBand setBand
`);
const PATHS = /^\s*(\(paths\.(stepped|bars|spline) +=|uPlot\.join =).*$/gm;

/** Leaves out of uPlot what no chart here has: stairs, bars, curves, joined tables, logarithms, bands, legends. */
export function straightLines(): Plugin {
  return {
    name: 'straight-lines',
    apply: 'build',
    transform(code, id) {
      if (!id.endsWith('/uPlot.esm.js')) return;
      const unused = functions(UNUSED);
      if (code.match(PATHS)?.length !== 4 || code.match(unused)?.length !== UNUSED.length)
        this.error('uPlot names its parts in another way now');
      return { code: code.replace(PATHS, '').replace(unused, 'function $2() {}'), map: null };
    },
  };
}

function words(text: string): string[] {
  return text.trim().split(/\s+/);
}

/** Finds whole functions by name; the second group is the name. */
function functions(names: readonly string[]): RegExp {
  return new RegExp(`^(\\t?)function (${names.join('|').replaceAll('$', '\\$')})\\([^]*?^\\1}$`, 'gm');
}
