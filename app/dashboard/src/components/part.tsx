/** Part: a component whose code, with its words, loads when it is first rendered; until then `meanwhile` stands there. */
import { lazy, Suspense, type ComponentType, type ReactNode } from 'react';
import { report } from '../feed/listeners';
import { loadWords } from '../i18n/language';
import { UnloadedPage } from '../pages/UnloadedPage';
import { Loading } from './Panel';

export function part<P extends object>(
  load: () => Promise<ComponentType<P>>,
  meanwhile: ReactNode = <Loading />,
): ComponentType<P> {
  const Part = lazy(async (): Promise<{ default: ComponentType<P> }> => {
    try {
      const [found] = await Promise.all([load(), loadWords(['shell', 'pages'])]);
      return { default: found };
    } catch (error) {
      report(error);
      return { default: UnloadedPage };
    }
  });
  return (props: P) => (
    <Suspense fallback={meanwhile}>
      <Part {...props} />
    </Suspense>
  );
}
