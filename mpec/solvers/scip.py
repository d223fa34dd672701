"""SCIP through PySCIPOpt: SOS1 sets, indicator rows, bilinear rows and objectives, free for everyone.

Linear relaxations are solved by HiGHS (SCIP's interface gives no reliable duals).
"""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np

from mpec import tolerances
from mpec.linear_model import Array, LinearModel, Products
from mpec.solvers.highs import HighsSession
from mpec.solvers.session import RebuildingSession, Solved, SolverError, SolverMissing, Status


class ScipSession(RebuildingSession):
    """A LinearModel solved by SCIP. Raises SolverMissing without PySCIPOpt."""

    name = "scip"

    def __init__(self, model: LinearModel, *, threads: int = 1, seed: int = 0) -> None:
        super().__init__(model)
        try:
            import pyscipopt
        except ImportError as error:
            raise SolverMissing(
                "SCIP is not installed here; run `pip install pyscipopt` (extra `scip`), or use"
                " solver highs or gurobi"
            ) from error
        self._scip: Any = pyscipopt
        self._seed = seed
        self._presolve = True

    def without_presolve(self) -> None:
        """For a second opinion."""
        self._presolve = False

    def _build(self) -> tuple[Any, list[Any]]:
        model, scip = self.model, self._scip
        built = scip.Model(problemName=model.name)
        built.hideOutput()
        built.setParam("randomization/randomseedshift", self._seed)
        if not self._presolve:
            built.setPresolve(self._scip.SCIP_PARAMSETTING.OFF)
        # At 1e-9 SCIP was seen to end "optimal" far from the optimum; 1e-7 suits its LP solver.
        built.setParam("numerics/feastol", tolerances.MIP_FEASIBILITY)
        if model.indicators:
            # With strong dual reductions SCIP 10 was seen to call feasible indicator models infeasible.
            built.setParam("misc/allowstrongdualreds", False)
        x = [
            built.addVar(
                f"x{j}",
                vtype="I" if whole else "C",
                lb=None if math.isinf(low) else low,
                ub=None if math.isinf(high) else high,
            )
            for j, (low, high, whole) in enumerate(zip(model.lower, model.upper, model.integer, strict=True))
        ]
        self._objective(built, x)
        for i in range(model.rows):
            span = slice(model.starts[i], model.starts[i + 1])
            body = scip.quicksum(
                v * x[j] for j, v in zip(model.indices[span], model.values[span], strict=True)
            )
            self._add_row(built, body, model.row_lower[i], model.row_upper[i])
        for row in model.quadratic_rows:
            body = scip.quicksum(v * x[j] for j, v in zip(row.columns, row.values, strict=True))
            self._add_row(built, body + self._products(x, row.products), row.lower, row.upper)
        for _, members in model.sos1:
            built.addConsSOS1([x[j] for j in members])
        for indicator in model.indicators:
            body = scip.quicksum(v * x[j] for j, v in zip(indicator.columns, indicator.values, strict=True))
            active = x[indicator.binary]
            for expression in self._one_sided(body, indicator.lower, indicator.upper):
                built.addConsIndicator(expression, binvar=active, activeone=bool(indicator.value))
        return built, x

    def _objective(self, built: Any, x: list[Any]) -> None:
        """Products in the objective go into a row below (or above) one free column."""
        model, sense = self.model, "maximize" if self.model.maximise else "minimize"
        linear = self._scip.quicksum(v * x[j] for j, v in enumerate(model.cost) if v != 0.0)
        if not model.cost_products.values:
            built.setObjective(linear + model.constant, sense)
            return
        value = built.addVar("objective", lb=None, ub=None)
        body = self._products(x, model.cost_products)
        built.addCons(value <= body if model.maximise else value >= body)
        built.setObjective(linear + value + model.constant, sense)

    def _products(self, x: list[Any], products: Products) -> Any:
        terms = zip(products.first, products.second, products.values, strict=True)
        return self._scip.quicksum(v * x[i] * x[j] for i, j, v in terms)

    @staticmethod
    def _one_sided(body: Any, lower: float, upper: float) -> list[Any]:
        out = []
        if math.isfinite(upper):
            out.append(body <= upper)
        if math.isfinite(lower):
            out.append(-1.0 * body <= -lower)
        return out

    def _add_row(self, built: Any, body: Any, lower: float, upper: float) -> None:
        if not body.terms:
            if lower > 0.0 or upper < 0.0:
                built.addCons(built.addVar("empty row", lb=0.0, ub=0.0) == 1.0)
        elif lower == upper:
            built.addCons(body == lower)
        else:
            for expression in self._one_sided(body, lower, upper):
                built.addCons(expression)

    def solve(
        self,
        *,
        relax: bool = False,
        gap: float = 1e-4,
        time_limit: float | None = None,
        node_limit: int | None = None,
        start: Array | None = None,
        cutoff: float | None = None,
    ) -> Solved:
        """Solve. A linear program, or the relaxation with ``relax``, goes to HiGHS for its duals."""
        began = time.perf_counter()
        plain = not (self.model.quadratic_rows or self.model.cost_products.values)
        logic = self.model.sos1 or self.model.indicators
        if plain and (relax or not (any(self.model.integer) or logic)):
            return self._relaxation(time_limit)
        if relax:
            raise SolverError(
                "SCIP has no continuous relaxation of a model with products here; solve it without relax"
            )
        built, x = self._build()
        built.setParam("limits/gap", gap)
        if time_limit is not None:
            built.setParam("limits/time", max(float(time_limit), 0.0))
        if node_limit is not None:
            built.setParam("limits/totalnodes", node_limit)
        if cutoff is not None:
            built.setObjlimit(cutoff)
        if start is not None:
            solution = built.createSol()
            for variable, value in zip(x, np.asarray(start, dtype=float), strict=True):
                built.setSolVal(solution, variable, float(value))
            built.addSol(solution)
        try:
            built.optimize()
        except Exception as error:
            # PySCIPOpt raises bare Exceptions for SCIP's return codes.
            raise SolverError(f"SCIP failed on {self.model.name!r}: {error}") from error
        out = self._read(built, x, cutoff, time.perf_counter() - began)
        built.freeProb()
        return out

    def _relaxation(self, time_limit: float | None) -> Solved:
        from dataclasses import replace

        plain = replace(self.model, sos1=[], indicators=[])
        session = HighsSession(plain)
        try:
            return session.solve(relax=True, time_limit=time_limit)
        finally:
            session.close()

    def _read(self, built: Any, x: list[Any], cutoff: float | None, seconds: float) -> Solved:
        maximise = self.model.maximise
        worst = math.inf if maximise else -math.inf
        kind = built.getStatus()
        has_point = built.getNSols() > 0
        if kind == "infeasible" and cutoff is not None:
            return Solved("no_point", None, float(cutoff), None, None, None, seconds)
        if kind == "infeasible":
            return Solved("infeasible", None, -worst, None, None, None, seconds)
        if kind in ("unbounded", "inforunbd"):
            return Solved("unbounded", None, worst, None, None, None, seconds)
        if kind not in ("optimal", "gaplimit") and kind not in _STOPPED:
            raise SolverError(f"SCIP ended with {kind} on {self.model.name!r}")
        bound = float(built.getDualbound())
        if abs(bound) >= built.infinity():
            bound = worst
        point = value = None
        if has_point:
            best = built.getBestSol()
            point = np.array([built.getSolVal(best, v) for v in x])
            value = self.model.objective(point)
        finished = kind in ("optimal", "gaplimit")
        status: Status = "optimal" if finished else ("feasible" if has_point else "no_point")
        return Solved(status, value, bound, point, None, None, seconds)

    def close(self) -> None:
        """Nothing is kept between solves."""


_STOPPED = {
    "bestsollimit",
    "memlimit",
    "nodelimit",
    "restartlimit",
    "sollimit",
    "stallnodelimit",
    "terminate",
    "timelimit",
    "totalnodelimit",
    "userinterrupt",
}
