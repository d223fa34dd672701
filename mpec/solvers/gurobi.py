"""Gurobi through gurobipy: SOS1 sets, indicator rows, bilinear rows and objectives.

The licence that comes with pip is limited to 2000 columns and rows (200 with products); a larger model
is refused as soon as the session is opened, with the way out in the message.
"""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
import scipy.sparse as sp

from mpec import tolerances
from mpec.linear_model import Array, LinearModel, Products
from mpec.solvers.session import RebuildingSession, Solved, SolverError, SolverMissing, Status

TOO_LARGE = 10010
"""Gurobi's error number for a model beyond a size-limited licence."""


class GurobiSession(RebuildingSession):
    """A LinearModel solved by Gurobi. Raises SolverMissing without gurobipy, licence or room."""

    name = "gurobi"

    def __init__(self, model: LinearModel, *, threads: int = 1, seed: int = 0) -> None:
        super().__init__(model)
        try:
            import gurobipy
        except ImportError as error:
            raise SolverMissing(
                "Gurobi is not installed here; run `pip install gurobipy`, or use solver highs or scip"
            ) from error
        self._gurobi: Any = gurobipy
        try:
            self._environment: Any = gurobipy.Env(params={"OutputFlag": 0})
        except gurobipy.GurobiError as error:
            raise SolverMissing(
                f"Gurobi has no usable licence: {error}. Use solver highs or scip, or install a licence"
            ) from error
        self._settings = {"Threads": threads, "Seed": seed}
        if model.columns > 200 or model.rows > 200:
            self._probe()

    def without_presolve(self) -> None:
        """For a second opinion."""
        self._settings["Presolve"] = 0

    def _probe(self) -> None:
        """A zero-second run: a size-limited licence refuses a model that is too large at once."""
        built, _, _ = self._build(relax=False)
        built.Params.TimeLimit = 0.0
        self._optimise(built)
        built.dispose()

    def _optimise(self, built: Any) -> None:
        try:
            built.optimize()
        except self._gurobi.GurobiError as error:
            if error.errno == TOO_LARGE:
                raise SolverMissing(
                    "Gurobi's licence here is limited in size (2000 columns, 2000 rows; 200 columns"
                    " with products) and"
                    f" {self.model.name!r} has {self.model.columns} columns and {self.model.rows} rows.\n"
                    "  Use solver highs (or scip), or install a full Gurobi licence (free for academic use)."
                ) from error
            raise SolverError(f"Gurobi failed on {self.model.name!r}: {error}") from error

    def _build(self, *, relax: bool) -> tuple[Any, Any, Any]:
        """(gurobipy model, its variables, its linear rows or None)."""
        model, g = self.model, self._gurobi
        built = g.Model(env=self._environment)
        for key, value in self._settings.items():
            built.setParam(key, value)
        products = bool(model.quadratic_rows or model.cost_products.values)
        built.Params.FeasibilityTol = tolerances.PRIMAL_FEASIBILITY
        built.Params.OptimalityTol = tolerances.DUAL_FEASIBILITY
        built.Params.IntFeasTol = tolerances.MIP_FEASIBILITY
        if products:
            built.Params.NonConvex = 2
        kinds = np.where(np.array(model.integer, dtype=bool) & (not relax), "I", "C")
        x = built.addMVar(model.columns, lb=np.array(model.lower), ub=np.array(model.upper), vtype=kinds)
        linear = np.array(model.cost) @ x + model.constant
        objective = linear + self._products(x, model.cost_products)
        built.setObjective(objective, g.GRB.MAXIMIZE if model.maximise else g.GRB.MINIMIZE)
        rows = self._rows(built, x)
        for quadratic in model.quadratic_rows:
            body = np.array(quadratic.values) @ x[list(quadratic.columns)] if quadratic.columns else 0.0
            body = body + self._products(x, quadratic.products)
            if quadratic.lower == quadratic.upper:
                built.addConstr(body == quadratic.lower)
                continue
            if math.isfinite(quadratic.lower):
                built.addConstr(body >= quadratic.lower)
            if math.isfinite(quadratic.upper):
                built.addConstr(body <= quadratic.upper)
        if not relax:
            self._logic(built, x)
        return built, x, rows

    def _rows(self, built: Any, x: Any) -> Any:
        """Rows as A x - r = 0 would cost columns, so ranges are split: (constraints, their row numbers)."""
        model = self.model
        low, high = np.array(model.row_lower), np.array(model.row_upper)
        matrix = model.matrix()
        out = []
        for sense, which, right in (
            ("=", np.flatnonzero(low == high), low),
            (">", np.flatnonzero((low != high) & np.isfinite(low)), low),
            ("<", np.flatnonzero((low != high) & np.isfinite(high)), high),
        ):
            if len(which):
                out.append((built.addMConstr(matrix[which], x, sense, right[which]), which))
        return out

    def _products(self, x: Any, products: Products) -> Any:
        if not products.values:
            return 0.0
        used = sorted(set(products.first) | set(products.second))
        place = {j: i for i, j in enumerate(used)}
        where = ([place[j] for j in products.first], [place[j] for j in products.second])
        square = sp.csr_matrix((np.array(products.values), where), shape=(len(used), len(used)))
        return x[used] @ square @ x[used]

    def _logic(self, built: Any, x: Any) -> None:
        """SOS1 sets and indicator rows."""
        variables = x.tolist()
        for _, members in self.model.sos1:
            built.addSOS(self._gurobi.GRB.SOS_TYPE1, [variables[j] for j in members])
        for row in self.model.indicators:
            body = self._gurobi.quicksum(
                v * variables[j] for j, v in zip(row.columns, row.values, strict=True)
            )
            if math.isfinite(row.lower):
                built.addGenConstrIndicator(variables[row.binary], bool(row.value), body >= row.lower)
            if math.isfinite(row.upper):
                built.addGenConstrIndicator(variables[row.binary], bool(row.value), body <= row.upper)

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
        """Solve (the continuous relaxation without SOS and indicators with ``relax``)."""
        began = time.perf_counter()
        built, x, rows = self._build(relax=relax)
        built.Params.MIPGap = gap
        if time_limit is not None:
            built.Params.TimeLimit = max(float(time_limit), 0.0)
        if node_limit is not None:
            built.Params.NodeLimit = node_limit
        if cutoff is not None and built.IsMIP:
            built.Params.BestBdStop = cutoff
        if start is not None:
            x.Start = np.asarray(start, dtype=float)
        self._optimise(built)
        if built.Status == self._gurobi.GRB.INF_OR_UNBD:
            built.Params.DualReductions = 0
            self._optimise(built)
        out = self._read(built, x, rows, time.perf_counter() - began)
        built.dispose()
        return out

    def _read(self, built: Any, x: Any, rows: Any, seconds: float) -> Solved:
        codes = self._gurobi.GRB
        worst = math.inf if self.model.maximise else -math.inf
        kind = built.Status
        if kind == codes.INFEASIBLE:
            return Solved("infeasible", None, -worst, None, None, None, seconds)
        if kind in (codes.UNBOUNDED, codes.INF_OR_UNBD):
            return Solved("unbounded", None, worst, None, None, None, seconds)
        has_point = built.SolCount > 0
        point = np.array(x.X) if has_point else None
        value = float(built.ObjVal) if has_point else None
        duals = reduced = None
        mip = bool(built.IsMIP) or bool(built.IsQCP)
        bound = worst
        if mip or kind != codes.OPTIMAL:
            try:
                bound = float(built.ObjBound)
            except (AttributeError, self._gurobi.GurobiError):
                bound = worst
            if abs(bound) >= codes.INFINITY:
                bound = worst
        if kind == codes.OPTIMAL and not mip:
            bound = float(value if value is not None else worst)
            if not built.IsQP:
                duals, reduced = self._duals(rows), np.array(x.RC)
        status: Status = "optimal" if kind == codes.OPTIMAL else ("feasible" if has_point else "no_point")
        if kind == codes.SUBOPTIMAL and has_point:
            status = "feasible"
        return Solved(status, value, bound, point, duals, reduced, seconds)

    def _duals(self, rows: Any) -> Array:
        out = np.zeros(self.model.rows)
        for constraints, which in rows:
            out[which] += np.array(constraints.Pi)
        return out

    def close(self) -> None:
        self._environment.dispose()
