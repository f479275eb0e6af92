package hashmatch

import (
	"errors"
	"fmt"
)

// Visibility says who sees what is uploaded to a surface. The zero Visibility is undeclared.
type Visibility string

// The visibilities. Only Public can be scanned.
const (
	Public  Visibility = "public"
	Private Visibility = "private"
)

// ErrSurfaceRefused is wrapped by every refusal to scan a surface that is not declared public and unencrypted.
var ErrSurfaceRefused = errors.New("surface refused")

// Surface is a place of publication that was declared public and unencrypted. Only DeclareSurface makes one; the
// zero Surface is undeclared, and nothing on it is read.
type Surface struct {
	name, tenant, region string
	declared             bool
}

// SurfaceDeclaration is what an operator states of a surface. Name, Visibility and Encrypted must all be stated:
// Encrypted is a pointer so that silence is not taken for "no".
type SurfaceDeclaration struct {
	Name       string
	Tenant     string // "" where one platform is one tenant
	Region     string // "" where it does not matter
	Visibility Visibility
	Encrypted  *bool
}

// DeclareSurface returns the surface, or an error that wraps ErrSurfaceRefused unless it is stated to be public and
// unencrypted.
func DeclareSurface(d SurfaceDeclaration) (Surface, error) {
	switch {
	case d.Name == "":
		return Surface{}, fmt.Errorf("%w: it has no name", ErrSurfaceRefused)
	case d.Visibility != Public:
		return Surface{}, fmt.Errorf("%w: %q is not declared public (visibility: %q)", ErrSurfaceRefused, d.Name, d.Visibility)
	case d.Encrypted == nil:
		return Surface{}, fmt.Errorf("%w: %q does not state encrypted: false", ErrSurfaceRefused, d.Name)
	case *d.Encrypted:
		return Surface{}, fmt.Errorf("%w: %q is encrypted", ErrSurfaceRefused, d.Name)
	}
	return Surface{name: d.Name, tenant: d.Tenant, region: d.Region, declared: true}, nil
}

// Name returns the surface's name; "" for the zero Surface.
func (s Surface) Name() string { return s.name }

// Tenant returns the tenant it belongs to; "" where there is one.
func (s Surface) Tenant() string { return s.tenant }

// Region returns the region it belongs to; "" where none was stated.
func (s Surface) Region() string { return s.region }

// Declared reports whether the surface was declared public and unencrypted. Nothing else is ever scanned.
func (s Surface) Declared() bool { return s.declared }
