"""From a Pyomo block to a follower's record: what the block owns, what it is given.

An *optimiser* block has one objective; it is compiled in one go to the matrices of
:class:`mpec.optimiser.Optimiser`. Anything that has no exact KKT form is refused here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyomo.environ as pyo
import scipy.sparse as sp
from pyomo.common.errors import InfeasibleConstraintException, InvalidConstraintError
from pyomo.core.base.component_namer import index_repr
from pyomo.repn import generate_standard_repn
from pyomo.repn.plugins.standard_form import LinearStandardFormCompiler

from mpec.elimination import Recovery, eliminate_equalities
from mpec.optimiser import Array, Inequalities, Optimiser, as_inequalities
from mpec.refusals import InfeasibleFollower, Refused

__all__ = [
    "Inequalities",
    "InfeasibleFollower",
    "Optimiser",
    "Recovery",
    "Refused",
    "as_inequalities",
    "compile_optimiser",
    "compile_with_variables",
    "declared_variables",
    "eliminate_equalities",
    "refuse_nonconvex",
]


def compile_optimiser(
    block: Any,
    given: Sequence[Any] | None = None,
    *,
    decides: Sequence[Any] | None = None,
    name: str | None = None,
) -> Optimiser:
    """Compile a follower block once into matrices, parametric in the given variables.

    Args:
        block: a Pyomo block (or model) with exactly one active objective, linear or convex quadratic,
            and linear constraints. Products of a decided and a given variable may stand in the
            objective only.
        given: the variables that others decide, in the wanted order (they may be fixed; they are
            treated as free). None: every unfixed variable that the block uses but doesn't own.
        decides: the follower's variables; None: all variables declared in the block but the given ones.

    Raises:
        Refused: no or several objectives, integer decisions, nonconvex objective, nonlinear rows,
            a variable that is neither decided nor given.
        InfeasibleFollower: a constraint without variables that is violated.
    """
    return compile_with_variables(block, given, decides=decides, name=name)[0]


def compile_with_variables(
    block: Any,
    given: Sequence[Any] | None = None,
    *,
    decides: Sequence[Any] | None = None,
    name: str | None = None,
) -> tuple[Optimiser, list[Any], list[Any]]:
    """As compile_optimiser, with the decided and the given variables in column order."""
    label = name or block.name
    objective = _single_objective(block, label)
    given_list = None if given is None else list(given)
    declared = declared_variables(block)
    given_ids = {id(v) for v in given_list or ()}
    own = list(decides) if decides is not None else [v for v in declared if id(v) not in given_ids]
    own = [v for v in own if not v.fixed]
    _refuse_integers(own, label)
    refix = [v for v in given_list or () if v.fixed]
    for v in refix:
        v.fixed = False
    try:
        columns, matrix, low, high, row_names = _compile_rows(block, objective, label)
        repn = generate_standard_repn(objective.expr, quadratic=True, compute_values=True)
    finally:
        for v in refix:
            v.fixed = True
    if repn.nonlinear_expr is not None:
        raise Refused(
            f"{label}: the objective {objective.name} is neither linear nor quadratic.\n"
            "  Only linear and convex quadratic followers have the KKT form that is written here."
        )
    used = _used_variables(columns, repn)
    own_ids = {id(v): j for j, v in enumerate(own)}
    if given_list is None:
        given_list = [v for v in used if id(v) not in own_ids]
    else:
        _refuse_unknown(used, own_ids, given_ids, label)
    given_at = {id(v): k for k, v in enumerate(given_list)}
    sense = -1 if objective.sense == pyo.maximize else 1
    terms = _objective_terms(repn, own_ids, given_at, float(sense))
    split = _split_columns(matrix, columns, own_ids, given_at)
    bounds = [v.bounds for v in own]
    optimiser = Optimiser(
        name=label,
        columns=tuple(component_names(own)),
        givens=tuple(component_names(given_list)),
        rows=tuple(row_names),
        cost=terms[0],
        given_cost=terms[1],
        constant=terms[2],
        quadratic=terms[3],
        cross=terms[4],
        given_quadratic=terms[5],
        matrix=split[0],
        given_matrix=split[1],
        row_lower=low,
        row_upper=high,
        lower=np.array([-math.inf if a is None else float(a) for a, _ in bounds]),
        upper=np.array([math.inf if b is None else float(b) for _, b in bounds]),
        sense=sense,
    )
    refuse_nonconvex(optimiser)
    return optimiser, own, given_list


def declared_variables(block: Any) -> list[Any]:
    """The variables that a block declares; references to others' variables are not its own."""
    components = block.component_objects(pyo.Var, active=True, descend_into=True)
    return [v for component in components if not component.is_reference() for v in component.values()]


def component_names(items: Sequence[Any]) -> list[str]:
    """Full names of component data, as ``item.name`` gives them but with each component's name asked once."""
    of: dict[int, str] = {}
    out = []
    for item in items:
        parent = item.parent_component()
        if parent is item:
            out.append(str(item.name))
            continue
        if id(parent) not in of:
            of[id(parent)] = str(parent.name)
        out.append(of[id(parent)] + index_repr(item.index()))
    return out


def _single_objective(block: Any, label: str) -> Any:
    found = list(block.component_data_objects(pyo.Objective, active=True, descend_into=True))
    if len(found) != 1:
        raise Refused(
            f"{label}: a follower that optimises has exactly one active objective, this block has"
            f" {len(found)}.\n"
            "  Give the block its objective, or state an equilibrium by Complementarity components."
        )
    return found[0]


def _refuse_integers(own: Iterable[Any], label: str) -> None:
    whole = [v.name for v in own if not v.is_continuous()]
    if whole:
        shown = ", ".join(whole[:5]) + (" ..." if len(whole) > 5 else "")
        raise Refused(
            f"{label}: the follower decides integer variables ({shown}).\n"
            "  Its optimality can't be written by KKT conditions; relaxing them would solve another problem."
            " Use a branch-and-cut code for mixed-integer bilevel problems, or make them continuous."
        )


def _refuse_unknown(used: Iterable[Any], own: dict[int, int], given: set[int], label: str) -> None:
    foreign = [v.name for v in used if id(v) not in own and id(v) not in given]
    if foreign:
        raise Refused(
            f"{label}: uses {', '.join(foreign[:5])}, which it neither decides nor is given.\n"
            "  Add the variable to the leader's (or to the given ones), or fix it."
        )


Rows = tuple[list[Any], sp.csr_matrix, Array, Array, list[str]]


def _compile_rows(block: Any, objective: Any, label: str) -> Rows:
    """All rows over all their variables: (variables, A, row_lower, row_upper, names)."""
    objective.deactivate()
    try:
        info = LinearStandardFormCompiler().write(block, mixed_form=True)
    except InvalidConstraintError as error:
        raise Refused(
            f"{label}: {error}\n  Rows of a follower must be linear in all variables together; a"
            " product of the"
            " leader's and the follower's variables is allowed in the follower's objective only."
        ) from error
    except InfeasibleConstraintException as error:
        raise InfeasibleFollower(f"{label}: {error}") from error
    finally:
        objective.activate()
    first: list[int] = []
    low: list[float] = []
    high: list[float] = []
    previous: Any = None
    for i, (entry, right) in enumerate(zip(info.rows, info.rhs, strict=True)):
        if entry.constraint is not previous:
            first.append(i)
            low.append(-math.inf)
            high.append(math.inf)
            previous = entry.constraint
        if entry.bound_type <= 0:
            low[-1] = float(right)
        if entry.bound_type >= 0:
            high[-1] = float(right)
    names = component_names([info.rows[i].constraint for i in first])
    matrix = sp.csr_matrix(info.A)[first] if first else sp.csr_matrix((0, len(info.columns)))
    return list(info.columns), matrix, np.array(low), np.array(high), names


def _used_variables(columns: Iterable[Any], repn: Any) -> list[Any]:
    seen: dict[int, Any] = {id(v): v for v in columns}
    for v in repn.linear_vars:
        seen.setdefault(id(v), v)
    for u, v in repn.quadratic_vars:
        seen.setdefault(id(u), u)
        seen.setdefault(id(v), v)
    return list(seen.values())


Terms = tuple[Array, Array, float, "sp.csr_matrix | None", "sp.csr_matrix | None", "sp.csr_matrix | None"]


def _objective_terms(repn: Any, own: dict[int, int], given: dict[int, int], sign: float) -> Terms:
    """(c, g, constant, Q, G, R) of the minimised objective."""
    n, k = len(own), len(given)
    cost, given_cost = np.zeros(n), np.zeros(k)
    for coefficient, v in zip(repn.linear_coefs, repn.linear_vars, strict=True):
        if id(v) in own:
            cost[own[id(v)]] += sign * coefficient
        else:
            given_cost[given[id(v)]] += sign * coefficient
    entries: dict[str, list[tuple[int, int, float]]] = {"Q": [], "G": [], "R": []}
    for coefficient, (u, v) in zip(repn.quadratic_coefs, repn.quadratic_vars, strict=True):
        value = sign * coefficient
        if id(u) in own and id(v) in own:
            i, j = own[id(u)], own[id(v)]
            entries["Q"] += [(i, j, value), (j, i, value)]
        elif id(u) not in own and id(v) not in own:
            i, j = given[id(u)], given[id(v)]
            entries["R"] += [(i, j, value), (j, i, value)]
        else:
            x, p = (u, v) if id(u) in own else (v, u)
            entries["G"].append((own[id(x)], given[id(p)], value))
    shapes = {"Q": (n, n), "G": (n, k), "R": (k, k)}
    built = {key: _sparse(entries[key], shapes[key]) for key in entries}
    return cost, given_cost, sign * float(repn.constant), built["Q"], built["G"], built["R"]


def _sparse(entries: list[tuple[int, int, float]], shape: tuple[int, int]) -> sp.csr_matrix | None:
    if not entries:
        return None
    i, j, v = zip(*entries, strict=True)
    return sp.csr_matrix((np.array(v, dtype=float), (i, j)), shape=shape)


def _split_columns(
    matrix: sp.csr_matrix, columns: list[Any], own: dict[int, int], given: dict[int, int]
) -> tuple[sp.csr_matrix, sp.csr_matrix]:
    """(A, F): the rows' entries on decided and on given variables, each in its final column order."""
    coo = matrix.tocoo()
    is_own = np.array([id(v) in own for v in columns], dtype=bool)
    place = np.array([own[id(v)] if id(v) in own else given[id(v)] for v in columns], dtype=int)
    out = []
    for mask, width in ((is_own, len(own)), (~is_own, len(given))):
        take = mask[coo.col] if len(columns) else np.zeros(0, dtype=bool)
        where = (coo.row[take], place[coo.col[take]])
        out.append(sp.csr_matrix((coo.data[take], where), shape=(matrix.shape[0], width)))
    return out[0], out[1]


def refuse_nonconvex(optimiser: Optimiser) -> None:
    """Raise Refused unless Q is positive semidefinite (each connected block by its eigenvalues)."""
    q = optimiser.quadratic
    if q is None or q.nnz == 0:
        return
    count, label = sp.csgraph.connected_components(q, directed=False)
    order = np.argsort(label, kind="stable")
    for members in np.split(order, np.cumsum(np.bincount(label, minlength=count))[:-1]):
        if len(members) == 1:
            eigenvalues = np.array([q[members[0], members[0]]])
        else:
            eigenvalues = np.linalg.eigvalsh(q[members][:, members].toarray())
        if eigenvalues.min() < -1e-10 * max(1.0, float(np.abs(eigenvalues).max())):
            shown = ", ".join(optimiser.columns[j] for j in members[:5])
            raise Refused(
                f"{optimiser.name}: the objective is not convex in {shown} (eigenvalue"
                f" {eigenvalues.min():.6g}"
                f" of its {'negated ' if optimiser.sense < 0 else ''}Hessian).\n"
                "  KKT points of a nonconvex follower need not be optimal; convexify it or enumerate."
            )
