package jpegluma

import "errors"

var (
	errCodes = errors.New("jpegluma: malformed data in a scan")
	errShort = errors.New("jpegluma: data is missing in a scan")
)

// part is one component of a scan.
type part struct {
	*component
	across, down int      // blocks in each unit of the scan
	dc, ac       *huffman // nil where the scan has no use for one
	last         int32    // constant part of the block before
}

// progress is what a scan adds to the coefficients of a progressive picture.
type progress struct {
	start, end int  // coefficients, in the order of the zigzag
	refine     bool // adds a bit to values that an earlier scan gave
	shift      uint // of the values, in bits
}

// scan reads a SOS segment's body and the data after it.
func (d *decoder) scan(body []byte) error {
	h := &d.header
	if h.components == nil {
		return errors.New("jpegluma: a scan before the picture header")
	}
	if d.scans++; d.scans > d.config.MaxScans {
		return errors.New("jpegluma: too many scans")
	}
	if d.scans == 1 {
		if err := d.allocate(); err != nil {
			return err
		}
	}
	if len(body) < 6 || len(body) != 4+2*int(body[0]) || int(body[0]) > len(h.components) {
		return errors.New("jpegluma: a malformed scan header")
	}
	parts, err := d.parts(body[1 : len(body)-3])
	if err != nil {
		return err
	}
	var p progress
	if h.Progressive {
		if p, err = d.progress(parts, body[len(body)-3:]); err != nil {
			return err
		}
	}
	for i := range parts {
		if err := d.prepare(&parts[i], p); err != nil {
			return err
		}
	}
	b := bits{data: d.content, at: d.at}
	if err := d.units(&b, parts, p); err != nil {
		return err
	}
	d.at = b.align()
	return nil
}

// parts reads which components a scan is of.
func (d *decoder) parts(body []byte) ([]part, error) {
	parts := make([]part, 0, 3)
	blocks := 0
	for ; len(body) >= 2; body = body[2:] {
		var p part
		for i := range d.header.components {
			if c := &d.header.components[i]; c.id == body[0] {
				p = part{component: c, across: c.across, down: c.down}
			}
		}
		if p.component == nil {
			return nil, errors.New("jpegluma: a scan of an unknown component")
		}
		for _, other := range parts {
			if other.component == p.component {
				return nil, errors.New("jpegluma: a component twice in a scan")
			}
		}
		dc, ac := body[1]>>4, body[1]&15
		if dc > 3 || ac > 3 || d.baseline && (dc > 1 || ac > 1) {
			return nil, errors.New("jpegluma: a Huffman table out of range")
		}
		p.dc, p.ac = &d.codes[0][dc], &d.codes[1][ac]
		if !d.stepsDefined[p.table] {
			return nil, errors.New("jpegluma: a quantisation table is missing")
		}
		blocks += p.across * p.down
		parts = append(parts, p)
	}
	if len(d.header.components) > 1 && blocks > 10 {
		return nil, errors.New("jpegluma: too many blocks in a unit")
	}
	if !d.header.Progressive && (len(parts) != len(d.header.components) || parts[0].component != &d.header.components[0]) {
		return nil, errors.New("jpegluma: components that do not come together, or not in order")
	}
	if len(parts) == 1 {
		p := &parts[0]
		// The standard library counts restart intervals in units of all components even here, and blocks of chroma by
		// the width of luma.
		if d.restart > 0 && blocks != 1 ||
			p.width != min(p.wide, ceil(d.header.Width, 8)) || p.height != min(p.high, ceil(d.header.Height, 8)) {
			return nil, errors.New("jpegluma: a scan of one component that the standard library loses its way in")
		}
		p.across, p.down = 1, 1
	}
	return parts, nil
}

// prepare makes the tables of a part of a scan and checks that the scan is in its turn.
func (d *decoder) prepare(p *part, progress progress) error {
	if !d.header.Progressive {
		if p.coded {
			return errors.New("jpegluma: a second scan of a component")
		}
		if !p.dc.defined || !p.ac.defined {
			return errors.New("jpegluma: a Huffman table is missing")
		}
		p.dc.prepare()
		p.ac.prepareDirect()
		p.steps = d.steps[p.table]
		p.weights.set(&p.steps, d.side)
	} else {
		if progress.start == 0 && !progress.refine && !p.dc.defined || progress.start > 0 && !p.ac.defined {
			return errors.New("jpegluma: a Huffman table is missing")
		}
		if progress.start == 0 {
			p.dc.prepare()
		} else {
			p.ac.prepare()
		}
	}
	p.coded = p.coded || progress.start == 0
	return nil
}

// units reads the data of a scan: the blocks of every component, unit by unit.
func (d *decoder) units(b *bits, parts []part, p progress) error {
	across, down := d.mcusAcross, d.mcusDown
	if len(parts) == 1 {
		across, down = parts[0].width, parts[0].height
	}
	left, interval := d.restart, 0
	for my := range down {
		if err := d.ctx.Err(); err != nil {
			return err
		}
		for mx := 0; mx < across; mx++ {
			if d.endOfBand > 0 && !p.refine && d.restart == 0 { // nothing in the blocks up to the end of the band
				skip := min(d.endOfBand, across-mx)
				d.endOfBand -= skip
				mx += skip - 1
				continue
			}
			if d.restart > 0 {
				if left == 0 {
					if err := d.nextInterval(b, parts, interval); err != nil {
						return err
					}
					left, interval = d.restart, interval+1
				}
				left--
			}
			var ok bool
			if d.header.Progressive {
				ok = d.progressiveUnit(b, parts, p, mx, my)
			} else {
				ok = d.sequentialUnit(b, parts, mx, my)
			}
			if !ok {
				return errCodes
			}
			if b.overrun() {
				return errShort
			}
		}
	}
	if d.endOfBand != 0 {
		return errCodes
	}
	return nil
}

// nextInterval passes a restart marker, the one of the given number.
func (d *decoder) nextInterval(b *bits, parts []part, number int) error {
	at := b.align()
	if at >= len(b.data) || b.data[at] != 0xff || d.endOfBand != 0 {
		return errCodes
	}
	for at < len(b.data) && b.data[at] == 0xff {
		at++
	}
	if at >= len(b.data) || b.data[at] != markerRST0+byte(number%8) {
		return errCodes
	}
	b.at = at + 1
	for i := range parts {
		parts[i].last = 0
	}
	return nil
}
