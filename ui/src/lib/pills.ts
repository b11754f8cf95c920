// A text field whose data are pills: a one-line or many-line editor in which ${{ … }} is one thing, with a label. It is
// loaded when such a field is first used.
import { autocompletion, completionKeymap, startCompletion, type CompletionContext, type CompletionResult } from '@codemirror/autocomplete'
import { defaultKeymap, history, historyKeymap, insertNewline } from '@codemirror/commands'
import { Compartment, EditorState, StateEffect, StateField, type Extension, type Range } from '@codemirror/state'
import { Decoration, EditorView, keymap, placeholder, WidgetType, type DecorationSet } from '@codemirror/view'
import { styleNonce } from './nonce'
import { partsOf, pill, pillLabel } from './template'

export interface PillData {
  /** Labels and values by path. */
  labels: Record<string, string>
  options: { path: string; label: string; value: string; from: string }[]
}

class PillWidget extends WidgetType {
  constructor(
    readonly expr: string,
    readonly label: string,
    readonly value: string,
  ) {
    super()
  }
  override eq(other: PillWidget) {
    return other.expr === this.expr && other.label === this.label && other.value === this.value
  }
  override toDOM() {
    const span = document.createElement('span')
    span.className = 'cm-pill'
    span.textContent = this.label
    span.title = this.value ? `${this.expr}: ${this.value}` : this.expr
    span.setAttribute('role', 'img')
    span.setAttribute('aria-label', this.value ? `${this.label}, ${this.value}` : this.label)
    return span
  }
}

const setData = StateEffect.define<PillData>()

export interface PillOptions {
  parent: HTMLElement
  text: string
  label: string
  describedby?: string
  lines: boolean
  hint: string
  data: PillData
  onchange: (text: string) => void
  onfocus: () => void
}

export interface PillEditor {
  set(text: string): void
  data(data: PillData): void
  insert(path: string): void
  /** Adds text at the caret, as keys do. */
  type(text: string): void
  focus(): void
  destroy(): void
}

export function pillEditor(o: PillOptions): PillEditor {
  const decorate = (doc: string, data: PillData): DecorationSet => {
    const values = Object.fromEntries(data.options.map((x) => [x.path, x.value]))
    const found: Range<Decoration>[] = []
    for (const part of partsOf(doc)) {
      if (part.expr !== undefined && part.expr !== '') {
        found.push(Decoration.replace({ widget: new PillWidget(part.expr, pillLabel(part.expr, data.labels), values[part.expr] ?? '') }).range(part.from, part.to))
      }
    }
    return Decoration.set(found)
  }
  const pills = StateField.define<{ data: PillData; set: DecorationSet }>({
    create: (state) => ({ data: o.data, set: decorate(state.doc.toString(), o.data) }),
    update(value, tr) {
      const next = tr.effects.find((e) => e.is(setData))
      if (!tr.docChanged && !next) return value
      const data = next ? (next.value as PillData) : value.data
      return { data, set: decorate(tr.newDoc.toString(), data) }
    },
    provide: (f) => [EditorView.decorations.from(f, (v) => v.set), EditorView.atomicRanges.of((view) => view.state.field(f).set)],
  })

  const complete = (context: CompletionContext): CompletionResult | null => {
    const open = context.matchBefore(/(?:\$\{\{\s*|(?:^|\s)\/)[\w .]*/)
    if (!open) return null
    const lead = /^\s/.test(open.text) ? 1 : 0
    const from = open.from + lead
    const typed = open.text.slice(lead).replace(/^(\$\{\{\s*|\/)/, '').toLowerCase()
    const { options } = context.state.field(pills).data
    return {
      from,
      filter: false,
      options: options
        .filter((x) => !typed || x.label.toLowerCase().includes(typed) || x.path.toLowerCase().includes(typed))
        .sort((a, b) => Number(b.label.toLowerCase().startsWith(typed)) - Number(a.label.toLowerCase().startsWith(typed)))
        .slice(0, 40)
        .map((x) => ({ label: x.label, detail: x.value.slice(0, 40), info: undefined, section: x.from, apply: pill(x.path) })),
    }
  }

  const oneLine: Extension = o.lines
    ? keymap.of([{ key: 'Enter', run: insertNewline }])
    : [EditorState.transactionFilter.of((tr) => (tr.newDoc.lines > 1 ? [] : tr)), keymap.of([{ key: 'Enter', run: () => true }])]
  const attributes = new Compartment()
  let silent = false
  const view = new EditorView({
    parent: o.parent,
    doc: o.text,
    selection: { anchor: o.text.length },
    extensions: [
      styleNonce,
      pills,
      history(),
      autocompletion({ override: [complete], icons: false, aboveCursor: false }),
      keymap.of([...completionKeymap, ...historyKeymap]),
      oneLine,
      keymap.of(defaultKeymap.filter((k) => k.key !== 'Enter' && k.key !== 'Mod-Enter')),
      EditorView.lineWrapping,
      placeholder(o.hint),
      attributes.of(
        EditorView.contentAttributes.of({
          role: 'textbox',
          'aria-label': o.label,
          'aria-multiline': String(o.lines),
          ...(o.describedby ? { 'aria-describedby': o.describedby } : {}),
          spellcheck: 'true',
        }),
      ),
      EditorView.updateListener.of((u) => {
        if (u.docChanged && !silent) o.onchange(u.state.doc.toString())
        if (u.focusChanged && u.view.hasFocus) o.onfocus()
        if (u.docChanged && u.transactions.some((tr) => tr.isUserEvent('input.type'))) {
          const before = u.state.doc.sliceString(Math.max(0, u.state.selection.main.head - 3), u.state.selection.main.head)
          if (before === '${{' || /(^|\s)\/$/.test(before)) startCompletion(u.view)
        }
      }),
    ],
  })
  return {
    set(text) {
      if (text === view.state.doc.toString()) return
      silent = true
      view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: text } })
      silent = false
    },
    data(data) {
      view.dispatch({ effects: setData.of(data) })
    },
    insert(path) {
      const { from, to } = view.state.selection.main
      const text = pill(path)
      view.dispatch({ changes: { from, to, insert: text }, selection: { anchor: from + text.length }, userEvent: 'input' })
      view.focus()
    },
    type(text) {
      view.dispatch(view.state.replaceSelection(text), { userEvent: 'input.type' })
    },
    focus: () => view.focus(),
    destroy: () => view.destroy(),
  }
}
