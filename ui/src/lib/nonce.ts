// The page shows no inline style but that of who knows the word of this answer: the text editors, which write their own.
import { EditorView } from '@codemirror/view'

export const styleNonce = EditorView.cspNonce.of(document.querySelector<HTMLMetaElement>('meta[property=csp-nonce]')?.nonce ?? '')
