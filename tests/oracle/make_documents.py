#!/usr/bin/env python3
"""Sample documents for daemon/reader, made by other programs than ours, each with the text that was put in.

Writes daemon/reader/test-data/NAME and NAME.expected. What is expected is what is written here, not what any reader finds.
The Chinese sentences are of statutes of the PRC, which are outside copyright; the English ones are ours.

Needs: python-docx==1.2.0 reportlab==5.1.0 odfpy==1.4.1 pyarrow==26.0.1 pypdf==6.4.0 pillow==13.0.0
"""
import email.message
import email.policy
import io
import json
import sys
import tarfile
import zipfile
from pathlib import Path

OUT = Path(__file__).resolve().parents[2] / "daemon/reader/test-data"
FONT = "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf"

EN_TITLE = "Governing law"
EN = [
    "This agreement is governed by the laws of the State of Delaware.",
    "The tenant pays rent of £1,200 on the first day of each month – without deduction.",
]
ZH_TITLE = "合同的效力"
ZH = [
    "依法成立的合同，受法律保护。",
    "依法成立的合同，仅对当事人具有法律约束力，但是法律另有规定的除外。",
]
ROWS_EN = [["Item", "Price"], ["Chair", "12"]]
ROWS_ZH = [["名称", "价款"], ["椅子", "12"]]
KNOWN = (".txt, .md, .json, .jsonl, .csv, .tsv, .pdf, .docx, .odt, .rtf, .html, .xml, .eml, .parquet, .conll, .zip, "
         ".tar and .tar.gz")
TABLE_EN = "Item\tPrice\nChair\t12"
TABLE_ZH = "名称\t价款\n椅子\t12"


def write(name, data, expected):
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / name).write_bytes(data)
    (OUT / f"{name}.expected").write_text(expected)


def one(text, encoding="UTF-8", pages=None, member="", kind="text"):
    where = f" pages {pages}" if pages else ""
    return f"== {member} ({kind}, {encoding}){where}\n{text}\n"


def docx(title, paragraphs, rows):
    import docx as python_docx
    from docx.oxml import parse_xml

    document = python_docx.Document()
    document.add_heading(title)
    for text in paragraphs:
        document.add_paragraph(text)
    # What change tracking keeps of the deleted words, and a word in bold inside a sentence.
    paragraph = document.add_paragraph("left")
    space = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    gone = f'<w:del xmlns:w="{space}" w:id="1" w:author="a"><w:r><w:delText>gone</w:delText></w:r></w:del>'
    paragraph._p.append(parse_xml(gone))
    paragraph.add_run("-over").bold = True
    table = document.add_table(rows=len(rows), cols=len(rows[0]))
    for cells, row in zip(table.rows, rows):
        for cell, text in zip(cells.cells, row):
            cell.text = text
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def odt(title, paragraphs, rows):
    from odf.opendocument import OpenDocumentText
    from odf.table import Table, TableCell, TableRow
    from odf.text import H, P, S, Span

    document = OpenDocumentText()
    document.text.addElement(H(outlinelevel=1, text=title))
    for text in paragraphs:
        document.text.addElement(P(text=text))
    paragraph = P(text="left")
    paragraph.addElement(Span(text="-over"))
    paragraph.addElement(S(c=2))
    paragraph.addElement(Span(text="end"))
    document.text.addElement(paragraph)
    table = Table()
    for row in rows:
        line = TableRow()
        for text in row:
            cell = TableCell()
            cell.addElement(P(text=text))
            line.addElement(cell)
        table.addElement(line)
    document.text.addElement(table)
    out = io.BytesIO()
    document.write(out)
    return out.getvalue()


def pdf(pages, font="Helvetica", size=11):
    from reportlab.pdfgen.canvas import Canvas

    out = io.BytesIO()
    canvas = Canvas(out, invariant=1)
    for lines in pages:
        canvas.setFont(font, size)
        text = canvas.beginText(72, 700)
        for line in lines:
            text.textLine(line)
        canvas.drawText(text)
        canvas.showPage()
    canvas.save()
    return out.getvalue()


def raw_pdf(objects):
    """A PDF of these objects, numbered from 1; the first is the catalog."""
    out = bytearray(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
    places = []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += f"{number} 0 obj\n".encode() + body + b"\nendobj\n"
    xref = len(out)
    out += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n".encode()
    for place in places:
        out += f"{place:010} 00000 n \n".encode()
    out += f"trailer <</Size {len(objects) + 1} /Root 1 0 R>>\nstartxref\n{xref}\n%%EOF\n".encode()
    return bytes(out)


def stream(data, extra=b""):
    return b"<</Length %d %s>>\nstream\n" % (len(data), extra) + data + b"\nendstream"


def page_of(font, content):
    """One page that shows `content` in the font F1, whose objects begin with number 5."""
    return raw_pdf([
        b"<</Type /Catalog /Pages 2 0 R>>",
        b"<</Type /Pages /Kids [3 0 R] /Count 1 /MediaBox [0 0 595 842]>>",
        b"<</Type /Page /Parent 2 0 R /Resources <</Font <</F1 5 0 R>>>> /Contents 4 0 R>>",
        stream(content),
        *font,
    ])


def hexed(data):
    return b"<" + data.hex().encode() + b">"


def gbk_pdf():
    """As old Chinese programs write it: codes of GBK, no table."""
    font = [
        b"<</Type /Font /Subtype /Type0 /BaseFont /SimSun /Encoding /GBK-EUC-H /DescendantFonts [6 0 R]>>",
        b"<</Type /Font /Subtype /CIDFontType2 /BaseFont /SimSun /CIDSystemInfo <</Registry (Adobe) /Ordering (GB1) "
        b"/Supplement 2>> /DW 1000>>",
    ]
    lines = [ZH_TITLE, ZH[0], "第1条 Rent"]
    shown = b" T*\n".join(hexed(line.encode("gbk")) + b" Tj" for line in lines)
    return page_of(font, b"BT /F1 12 Tf 14 TL 72 700 Td\n" + shown + b"\nET"), "\n".join(lines)


def cid_pdf():
    """As office programs write it: numbers of glyphs, and a table to Unicode; the words set apart by distance alone."""
    glyphs = {c: number for number, c in enumerate(dict.fromkeys("合同Rentdueon"), 3)}
    pairs = "\n".join(f"<{n:04x}> <{c.encode('utf-16-be').hex()}>" for c, n in glyphs.items())
    table = f"""/CIDInit /ProcSet findresource begin 12 dict begin begincmap
1 begincodespacerange <0000> <ffff> endcodespacerange
{len(glyphs)} beginbfchar
{pairs}
endbfchar endcmap end end""".encode()
    font = [
        b"<</Type /Font /Subtype /Type0 /BaseFont /A /Encoding /Identity-H /DescendantFonts [6 0 R] /ToUnicode 7 0 R>>",
        b"<</Type /Font /Subtype /CIDFontType2 /BaseFont /A /CIDSystemInfo <</Registry (Adobe) /Ordering (Identity) "
        b"/Supplement 0>> /DW 500 /W [3 [1000 1000]]>>",
        stream(table),
    ]
    code = lambda text: hexed(b"".join(glyphs[c].to_bytes(2, "big") for c in text))
    content = b"BT /F1 10 Tf 1 0 0 1 72 700 Tm [" + code("Re") + b" -20 " + code("nt") + b" -300 " + code("due") + b"] TJ "
    content += b"1 0 0 1 125 700 Tm " + code("on") + b" Tj 1 0 0 1 72 680 Tm [" + code("合") + b" -400 " + code("同") + b"] TJ ET"
    return page_of(font, content), "Rent due on\n合同"


def documents():
    write("english.docx", docx(EN_TITLE, EN, ROWS_EN), one("\n".join([EN_TITLE, *EN, "left-over", TABLE_EN])))
    write("chinese.docx", docx(ZH_TITLE, ZH, ROWS_ZH), one("\n".join([ZH_TITLE, *ZH, "left-over", TABLE_ZH])))
    write("english.odt", odt(EN_TITLE, EN, ROWS_EN), one("\n".join([EN_TITLE, *EN, "left-over  end", TABLE_EN])))
    write("chinese.odt", odt(ZH_TITLE, ZH, ROWS_ZH), one("\n".join([ZH_TITLE, *ZH, "left-over  end", TABLE_ZH])))
    old = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(512) + "EncryptedPackage".encode("utf-16-le") + bytes(64)
    write("locked.docx", old, "!! encrypted: it asks for a password; save it without one\n")


def pdfs():
    from pypdf import PdfReader, PdfWriter
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.cidfonts import UnicodeCIDFont
    from reportlab.pdfbase.ttfonts import TTFont

    first, second = [EN_TITLE, *EN], ["Page two", "(ends)"]
    text = "\n".join(first + second)
    pages = [0, len("\n".join(first)) + 1]
    plain = pdf([first, second])
    write("english.pdf", plain, one(text, pages=pages))
    pdfmetrics.registerFont(TTFont("DejaVu", FONT))
    write("embedded.pdf", pdf([first, second], "DejaVu"), one(text, pages=pages))
    pdfmetrics.registerFont(UnicodeCIDFont("STSong-Light"))
    zh = [ZH_TITLE, *ZH]
    write("chinese.pdf", pdf([zh, zh[:1]], "STSong-Light"), one("\n".join(zh + zh[:1]), pages=[0, len("\n".join(zh)) + 1]))
    for name, (data, expected) in {"gbk.pdf": gbk_pdf(), "cid.pdf": cid_pdf()}.items():
        write(name, data, one(expected, pages=[0]))

    for name, user in {"locked.pdf": "secret", "restricted.pdf": ""}.items():
        writer = PdfWriter(clone_from=PdfReader(io.BytesIO(plain)))
        writer.encrypt(user, "owner", algorithm="RC4-128")
        out = io.BytesIO()
        writer.write(out)
        locked = "!! encrypted: it asks for a password; save it without one\n"
        write(name, out.getvalue(), locked if user else one(text, pages=pages))

    from PIL import Image

    out = io.BytesIO()
    Image.new("L", (60, 80), 200).save(out, "PDF")
    advice = "drop its text as .txt, or name a program that reads pictures as ocr_command under [reader]"
    write("scanned.pdf", out.getvalue(), f"!! needs_ocr: 1 of its 1 pages are pictures; {advice}\n")


def markup():
    body = f"<h1>{{}}</h1>\n<p>{{}}<br>{{}}</p><table><tr><th>a</th><td>b</td></tr></table><script>var x = '<p>';</script>"
    page = "<!DOCTYPE html><html><head><meta charset={}><title>t</title></head><body>{}</body></html>"
    write("english.html", page.format("utf-8", body.format(EN_TITLE, *EN)).encode(), one("\n".join([EN_TITLE, *EN, "a\tb"])))
    zh = page.format('"gb2312"', body.format(ZH_TITLE, *ZH)).encode("gbk")
    write("chinese.html", zh, one("\n".join([ZH_TITLE, *ZH, "a\tb"]), "GBK"))
    big5 = "<html><body><p>契約自成立時生效，法律另有規定者不在此限。</p></body></html>".encode("big5")
    write("unnamed-encoding.html", big5, one("契約自成立時生效，法律另有規定者不在此限。", "Big5"))
    xml = f'<?xml version="1.0" encoding="GB18030"?>\n<law><title>{ZH_TITLE}</title><p>{ZH[0]}</p><p>{ZH[1]}</p></law>'
    write("chinese.xml", xml.encode("gb18030"), one("\n".join([ZH_TITLE, *ZH]), "gb18030"))
    xml = f"<law><title>{EN_TITLE}</title><p>{EN[0]}</p><p>A &amp; B</p></law>"
    write("english.xml", xml.encode("utf-16"), one(f"{EN_TITLE}\n{EN[0]}\nA & B", "UTF-16LE"))
    # As Word writes it: the font names the code page.
    escaped = "".join(f"\\'{byte:02x}" for byte in ZH[0].encode("gbk"))
    head = r"{\rtf1\ansi\ansicpg936\deff0{\fonttbl{\f0\fcharset0 Arial;}{\f1\fcharset134 \'cb\'ce\'cc\'e5;}}"
    write("chinese.rtf", (head + r"\f1 " + escaped + r"\par\u21512?\u21516?\par}").encode(), one(f"{ZH[0]}\n合同", "gb18030"))
    text = EN[1].replace("£", r"\'a3").replace("–", r"\endash ")
    rtf = r"{\rtf1\ansi{\fonttbl{\f0 Arial;}}{\info{\author x}}\b " + EN_TITLE + r"\b0\par " + text + r"\par}"
    write("english.rtf", rtf.encode(), one(f"{EN_TITLE}\n{EN[1]}", "windows-1252"))


def mails():
    mail = email.message.EmailMessage(policy=email.policy.SMTP)
    mail["From"] = "Ann Lee <ann@example.org>"
    mail["To"] = "bob@example.org"
    mail["Date"] = "Mon, 02 Mar 2026 09:30:00 +0000"
    mail["Subject"] = EN_TITLE
    mail.set_content("\n".join(EN) + "\n")
    mail.add_alternative(f"<p>not {EN[0]}</p>", subtype="html")
    kind = "vnd.openxmlformats-officedocument.wordprocessingml.document"
    mail.add_attachment(docx(EN_TITLE, EN, ROWS_EN), maintype="application", subtype=kind, filename="lease.docx")
    mail.add_attachment(b"\x89PNG\r\n\x1a\n0000", maintype="image", subtype="png", filename="logo.png")
    head = "From: Ann Lee <ann@example.org>\nTo: bob@example.org\nDate: 2026-03-02T09:30:00Z\nSubject: "
    letter = f"{head}{EN_TITLE}\n\n" + "\n".join(EN)
    attached = "\n".join([EN_TITLE, *EN, "left-over", TABLE_EN])
    skipped = f"!! logo.png: unsupported: files named *.png are not read; known are {KNOWN}\n"
    write("english.eml", mail.as_bytes(), one(letter) + one(attached, member="lease.docx") + skipped)

    import base64
    word = lambda text: "=?gb2312?B?" + base64.b64encode(text.encode("gb2312")).decode() + "?="
    raw = f"From: {word('李明')} <li@example.cn>\r\nTo: wang@example.cn\r\nDate: Mon, 02 Mar 2026 09:30:00 +0800\r\n"
    raw += f"Subject: {word(ZH_TITLE)}\r\nMIME-Version: 1.0\r\nContent-Type: text/html; charset=gb2312\r\n"
    raw += "Content-Transfer-Encoding: base64\r\n\r\n"
    body = base64.encodebytes(f"<p>{ZH[0]}</p><p>{ZH[1]}</p>".encode("gb2312")).replace(b"\n", b"\r\n")
    letter = f"From: 李明 <li@example.cn>\nTo: wang@example.cn\nDate: 2026-03-02T09:30:00+08:00\nSubject: {ZH_TITLE}\n\n"
    write("chinese.eml", raw.encode() + body, one(letter + "\n".join(ZH)))


def archives():
    out = io.BytesIO()
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w", zipfile.ZIP_DEFLATED) as z:
        z.writestr(zipfile.ZipInfo("deep.txt"), "deep")
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as z:
        entry = lambda name, data: z.writestr(zipfile.ZipInfo(name), data)
        entry("a/lease.docx", docx(EN_TITLE, EN, ROWS_EN))
        entry("a/lease.docx.label", "lease\n")
        # A program of before Unicode: the bytes of the name are GBK, and the archive does not say so.
        entry("XXXXXXXX.txt", "\r\n".join(ZH).encode("gbk"))
        entry("inner.zip", inner.getvalue())
        entry("__MACOSX/._a", b"x")
        entry("broken.pdf", b"%PDF-1.7 and nothing else")
        entry("photo.jpg", b"\xff\xd8\xff")
        entry("empty.txt", b"")
        link = zipfile.ZipInfo("link.txt")
        link.external_attr = 0o120777 << 16
        z.writestr(link, "/etc/passwd")
        entry("../out.txt", b"out")
    data = out.getvalue().replace(b"XXXXXXXX.txt", "合同文本".encode("gbk") + b".txt")
    attached = "\n".join([EN_TITLE, *EN, "left-over", TABLE_EN])
    expected = one(attached, member="a/lease.docx") + one("lease", member="a/lease.docx.label", kind="Sidecar")
    expected += one("\r\n".join(ZH), "gb18030", member="合同文本.txt") + one("deep", member="inner.zip/deep.txt")
    return data, expected


def tables():
    import pyarrow as pa
    import pyarrow.parquet as pq

    class_label = {"names": ["无效", "有效"], "_type": "ClassLabel"}
    info = {"info": {"features": {"text": {"dtype": "string", "_type": "Value"}, "label": class_label}}}
    table = pa.table({"text": pa.array(ZH), "label": pa.array([1, 0], pa.int64()), "score": pa.array([0.5, None])})
    table = table.replace_schema_metadata({"huggingface": json.dumps(info)})
    lines = [{"label": "有效", "score": 0.5, "text": ZH[0]}, {"label": "无效", "score": None, "text": ZH[1]}]
    dump = lambda rows: "\n".join(json.dumps(row, ensure_ascii=False, separators=(",", ":"), sort_keys=True) for row in rows)
    for name, compression in {"labels.parquet": "snappy", "gzip.parquet": "gzip", "zstd.parquet": "zstd"}.items():
        out = io.BytesIO()
        pq.write_table(table, out, compression=compression)
        write(name, out.getvalue(), one(dump(lines), kind="JsonLines"))
    out = io.BytesIO()
    pq.write_table(pa.table({"tokens": [["EU", "rejects"], []], "ner_tags": [["B-ORG", "O"], []]}), out)
    rows = [{"ner_tags": ["B-ORG", "O"], "tokens": ["EU", "rejects"]}, {"ner_tags": [], "tokens": []}]
    write("tokens.parquet", out.getvalue(), one(dump(rows), kind="JsonLines"))
    out = io.BytesIO()
    pq.write_table(table, out, compression="brotli")
    write("brotli.parquet", out.getvalue(), "!! unsupported: Parquet error: Disabled feature at compile time: brotli; write it "
          "with snappy, gzip, lz4 or zstd, or without compression\n")
    # A table that is small only as long as nobody looks at its rows.
    many = pa.DictionaryArray.from_arrays(pa.array([0]).take(pa.array([0] * 2_000_000)).cast(pa.int32()), ["x" * 1024])
    bomb = pa.table({"text": pa.chunked_array([many])})
    pq.write_table(bomb, OUT.parents[2] / "tests/attacks/rows.parquet", row_group_size=2_000_000, store_schema=False)
    conll = "-DOCSTART- -X- O O\n\nEU NNP B-NP B-ORG\nrejects VBZ B-VP O\n\n患\tB-PER\n者\tI-PER\n"
    rows = [{"tags": ["B-ORG", "O"], "tokens": ["EU", "rejects"]}, {"tags": ["B-PER", "I-PER"], "tokens": ["患", "者"]}]
    write("news.conll", conll.encode(), one(dump(rows), kind="JsonLines"))


def tars():
    def packed(mode):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode=mode, format=tarfile.PAX_FORMAT) as t:
            def entry(name, data=b"", kind=tarfile.REGTYPE, link=""):
                about = tarfile.TarInfo(name)
                about.size, about.type, about.linkname = len(data), kind, link
                t.addfile(about, io.BytesIO(data))
            entry("folder", kind=tarfile.DIRTYPE)
            entry("folder/合同.txt", ZH[0].encode())
            entry("a.html", f"<p>{EN[0]}</p>".encode())
            entry("link.txt", kind=tarfile.SYMTYPE, link="/etc/passwd")
            entry("hard.txt", kind=tarfile.LNKTYPE, link="folder/合同.txt")
            entry("pipe.txt", kind=tarfile.FIFOTYPE)
            entry("disk.txt", kind=tarfile.BLKTYPE)
            entry("../out.txt", b"out")
            entry("/etc/cron.txt", b"out")
        return out.getvalue()

    out_of = "unsafe: its name leads out of the archive"
    expected = one(ZH[0], member="folder/合同.txt") + one(EN[0], member="a.html")
    for name, why in [("link.txt", "unsafe: it is a symbolic link"), ("hard.txt", "unsafe: it is a hard link"),
                      ("pipe.txt", "unsafe: it is a pipe"), ("disk.txt", "unsafe: it is a device"),
                      ("../out.txt", out_of), ("/etc/cron.txt", out_of)]:
        expected += f"!! {name}: {why}\n"
    write("tricks.tar", packed("w"), expected)
    write("tricks.tar.gz", packed("w:gz"), expected)


def main():
    documents()
    pdfs()
    markup()
    mails()
    tables()
    tars()
    data, expected = archives()
    refusals = [
        ("broken.pdf", "malformed: couldn't parse input: invalid file header"),
        ("photo.jpg", f"unsupported: files named *.jpg are not read; known are {KNOWN}"),
        ("empty.txt", "empty: it has no bytes"),
        ("link.txt", "unsafe: it is a symbolic link"),
        ("../out.txt", "unsafe: its name leads out of the archive"),
    ]
    write("case.zip", data, expected + "".join(f"!! {name}: {why}\n" for name, why in refusals))


if __name__ == "__main__":
    sys.exit(main())
