import { childrenNamed, type XmlElement } from '../../../../disk/ovf/xml.js';
import { type Markup, markup } from '../../../../text/markup.js';
import { interrupted } from '../http/errors.js';
import { faultOfLocalized } from './faults.js';
import { type Session, textOf } from './session.js';
import { type MoRef, referenceMarkup } from './soap-client.js';

/** An object with those of the asked properties that it has. */
export interface ObjectContent {
  self: MoRef;
  properties: ReadonlyMap<string, XmlElement>;
}

const PAGE = 500;
const MAX_PAGES = 1_000;

/** Returns properties of objects of one type. Throws the fault of a property that may not be read. */
export async function retrieve(
  session: Session,
  objects: readonly MoRef[],
  paths: readonly string[],
  signal: AbortSignal,
): Promise<ObjectContent[]> {
  const [first] = objects;
  if (first === undefined) return [];
  const sets = objects.map(
    (object) => markup`<objectSet>${referenceMarkup(markup`obj`, object)}</objectSet>`,
  );
  const found: ObjectContent[] = [];
  for await (const one of collect(session, specification(first.type, paths, markup`${sets}`), signal))
    found.push(one);
  return found;
}

/** Yields properties of all VMs that the user can see. */
export async function* retrieveVms(
  session: Session,
  paths: readonly string[],
  signal: AbortSignal,
): AsyncGenerator<ObjectContent> {
  const [view] = await session.call(
    'CreateContainerView',
    session.service('viewManager'),
    markup`${referenceMarkup(markup`container`, session.service('rootFolder'))}<type>VirtualMachine</type><recursive>true</recursive>`,
    signal,
  );
  const self = referenceOf(view);
  if (self === null) throw interrupted('the server has created no view of its VMs');
  const set = markup`<objectSet>${referenceMarkup(markup`obj`, self)}<skip>true</skip><selectSet xsi:type="TraversalSpec"><name>view</name><type>ContainerView</type><path>view</path><skip>false</skip></selectSet></objectSet>`;
  try {
    yield* collect(session, specification('VirtualMachine', paths, set), signal);
  } finally {
    // Logout removes it, too, so that a failure needs no word.
    await session.call('DestroyView', self, markup``, signal).catch(() => undefined);
  }
}

function specification(type: string, paths: readonly string[], objectSets: Markup): Markup {
  const wanted = paths.map((path) => markup`<pathSet>${path}</pathSet>`);
  return markup`<specSet><propSet><type>${type}</type>${wanted}</propSet>${objectSets}</specSet><options><maxObjects>${PAGE}</maxObjects></options>`;
}

async function* collect(
  session: Session,
  parameters: Markup,
  signal: AbortSignal,
): AsyncGenerator<ObjectContent> {
  const collector = session.service('propertyCollector');
  let [result] = await session.call('RetrievePropertiesEx', collector, parameters, signal);
  for (let page = 0; page < MAX_PAGES; page += 1) {
    for (const object of childrenNamed(result, 'objects')) yield contentOf(object);
    const token = textOf(result, 'token');
    if (token === null || token === '') return;
    const next = markup`<token>${token}</token>`;
    [result] = await session.call('ContinueRetrievePropertiesEx', collector, next, signal);
  }
  throw interrupted('the server’s list of objects does not end');
}

function contentOf(object: XmlElement): ObjectContent {
  const self = referenceOf(childrenNamed(object, 'obj')[0]);
  if (self === null) throw interrupted('the server describes an object without a name');
  const [missing] = childrenNamed(object, 'missingSet');
  const [fault] = childrenNamed(missing, 'fault');
  if (fault !== undefined) throw faultOfLocalized(fault, `${self.id}: ${textOf(missing, 'path')}`);
  const properties = new Map<string, XmlElement>();
  for (const set of childrenNamed(object, 'propSet')) {
    const [value] = childrenNamed(set, 'val');
    if (value !== undefined) properties.set(textOf(set, 'name') ?? '', value);
  }
  return { self, properties };
}

/** Returns the object that an element names; null for none, or an empty one. */
export function referenceOf(element: XmlElement | undefined): MoRef | null {
  const type = element?.attributes.get('type');
  return element === undefined || type === undefined || element.text === ''
    ? null
    : { type, id: element.text };
}
