// Letters that cannot be seen, made visible: controls, direction marks, spaces
// without width. A stranger's text must not be able to look like another one.

/**
 * What is drawn by its number. Line feed and tab are left alone, because text is
 * laid out by them; so are the joiners U+200C and U+200D, without which emoji
 * and several scripts fall apart; isolated direction is the style's part.
 */
export const INVISIBLE =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff]|[\u{1d173}-\u{1d17a}\u{e0000}-\u{e0fff}]|\p{Surrogate}/gu;

/** A text with every such letter as `⟨U+202E⟩`. */
export function asShown(text) {
  return text.replace(INVISIBLE, (letter) => `⟨U+${number(letter)}⟩`);
}

function number(letter) {
  return letter.codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
}
