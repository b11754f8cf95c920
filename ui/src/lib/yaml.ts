// The text editor of the YAML page. What is wrong comes from the server with its place.
import { defaultKeymap, indentWithTab } from '@codemirror/commands'
import { yaml } from '@codemirror/lang-yaml'
import { HighlightStyle, syntaxHighlighting, foldGutter, indentUnit } from '@codemirror/language'
import { setDiagnostics, lintGutter, type Diagnostic } from '@codemirror/lint'
import { EditorState } from '@codemirror/state'
import { drawSelection, EditorView, highlightActiveLine, keymap, lineNumbers } from '@codemirror/view'
import { tags } from '@lezer/highlight'
import type { PlacedProblem } from './api.types'
import { styleNonce } from './nonce'

export interface YamlEditor {
  set(text: string): void
  problems(list: PlacedProblem[]): void
  goto(line: number): void
  destroy(): void
}

const colors = HighlightStyle.define([
  { tag: tags.comment, color: 'var(--text-3)', fontStyle: 'italic' },
  { tag: [tags.propertyName, tags.definition(tags.propertyName)], color: 'var(--accent-text)' },
  { tag: [tags.string, tags.special(tags.string)], color: 'var(--ok)' },
  { tag: [tags.number, tags.bool, tags.null, tags.keyword], color: 'var(--info)' },
  { tag: [tags.punctuation, tags.separator, tags.squareBracket, tags.brace], color: 'var(--text-2)' },
])

const look = EditorView.theme({
  '&': { color: 'var(--text)', backgroundColor: 'var(--surface)' },
  '&.cm-focused': { outline: 'none' },
  '.cm-scroller': { fontFamily: 'var(--mono)', lineHeight: '19px' },
  '.cm-content': { padding: '12px 0', caretColor: 'var(--text)' },
  '.cm-gutters': { backgroundColor: 'var(--surface)', color: 'var(--text-3)', border: 'none' },
  '.cm-activeLine, .cm-activeLineGutter': { backgroundColor: 'color-mix(in srgb, var(--sunken) 60%, transparent)' },
  '.cm-selectionBackground, &.cm-focused .cm-selectionBackground': { backgroundColor: 'var(--info-soft) !important' },
  '.cm-tooltip': { backgroundColor: 'var(--surface)', border: '1px solid var(--border)', borderRadius: '8px', boxShadow: 'var(--floating)' },
})

export function yamlEditor(o: {
  parent: HTMLElement
  text: string
  label: string
  problems: PlacedProblem[]
  onchange: (text: string) => void
  onundo: () => void
  onredo: () => void
}): YamlEditor {
  let silent = false
  const run = (f: () => void) => () => (f(), true)
  const view = new EditorView({
    parent: o.parent,
    state: EditorState.create({
      doc: o.text,
      extensions: [
        styleNonce,
        lineNumbers(),
        foldGutter(),
        lintGutter(),
        drawSelection(),
        highlightActiveLine(),
        indentUnit.of('  '),
        yaml(),
        syntaxHighlighting(colors),
        look,
        // The two tabs share one history, which is on the server.
        keymap.of([
          { key: 'Mod-z', run: run(o.onundo) },
          { key: 'Mod-Shift-z', run: run(o.onredo) },
          { key: 'Mod-y', run: run(o.onredo) },
          { key: 'Escape', run: (v) => (v.contentDOM.blur(), true) },
          indentWithTab,
          ...defaultKeymap,
        ]),
        EditorView.contentAttributes.of({ 'aria-label': o.label }),
        EditorView.updateListener.of((u) => {
          if (u.docChanged && !silent) o.onchange(u.state.doc.toString())
        }),
      ],
    }),
  })
  view.scrollDOM.tabIndex = 0 // what scrolls can be reached by keyboard
  const api: YamlEditor = {
    set(text) {
      const old = view.state.doc.toString()
      if (old === text) return
      // Only what differs is replaced, so that the caret and the view stay where they are.
      let from = 0
      while (from < old.length && from < text.length && old[from] === text[from]) from++
      let end = 0
      while (end < old.length - from && end < text.length - from && old[old.length - 1 - end] === text[text.length - 1 - end]) end++
      silent = true
      view.dispatch({ changes: { from, to: old.length - end, insert: text.slice(from, text.length - end) } })
      silent = false
    },
    problems(list) {
      const doc = view.state.doc
      const place = (line: number, column: number) => {
        if (line < 1 || line > doc.lines) return doc.length
        const l = doc.line(line)
        return Math.min(l.to, l.from + Math.max(0, column - 1))
      }
      const found: Diagnostic[] = list.map((p) => {
        const from = place(p.line, p.column)
        return { from, to: Math.max(from, place(p.end_line || p.line, p.end_column || p.column)), severity: p.warning ? 'warning' : 'error', message: p.message + (p.hint ? `\n${p.hint}` : '') }
      })
      view.dispatch(setDiagnostics(view.state, found))
    },
    goto(line) {
      const l = view.state.doc.line(Math.min(Math.max(1, line), view.state.doc.lines))
      view.dispatch({ selection: { anchor: l.from }, effects: EditorView.scrollIntoView(l.from, { y: 'center' }) })
      view.focus()
    },
    destroy: () => view.destroy(),
  }
  api.problems(o.problems)
  return api
}
