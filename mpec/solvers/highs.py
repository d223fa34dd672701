"""HiGHS through highspy, the default solver: everyone can run it."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import highspy
import numpy as np

from mpec import tolerances
from mpec.linear_model import LinearModel
from mpec.solvers.highs_hessian import hessian_of
from mpec.solvers.quiet_highs import quiet_highs
from mpec.solvers.refused_models import refusal
from mpec.solvers.session import Solved, SolverError, SolverMissing, Status

Array = np.ndarray
_INF = highspy.kHighsInf

SOLVE_SECONDS, ITERATION_SECONDS = 3.4e-4, 4.7e-5
"""What a solve and a simplex iteration of the judge's small programs cost, s: measured on the bundled day."""

_done = {"seconds": 0.0}


def work_done() -> float:
    """Nominal seconds of all solves by HiGHS in this process so far: a clock that ticks alike on every machine."""
    return _done["seconds"]


class HighsSession:
    """A model kept in HiGHS: linear and mixed-integer linear, and convex quadratic without integers.

    Raises SolverMissing for SOS1 sets, indicator rows, quadratic rows and quadratic objectives that are
    not convex or stand beside integers.
    """

    name = "highs"

    def __init__(self, model: LinearModel, *, threads: int = 1, seed: int = 0) -> None:
        if model.sos1 or model.indicators:
            raise SolverMissing(
                "HiGHS has no SOS1 sets or indicator rows; use mode big_m, or solver gurobi or scip"
            )
        if model.quadratic_rows:
            raise SolverMissing(
                f"HiGHS has no products of variables in rows ({model.quadratic_rows[0].name}); use"
                " solver gurobi or scip"
            )
        self.model = model
        self._highs: Any = quiet_highs()
        for option, value in (
            ("threads", threads),
            ("random_seed", seed),
            ("primal_feasibility_tolerance", tolerances.PRIMAL_FEASIBILITY),
            ("dual_feasibility_tolerance", tolerances.DUAL_FEASIBILITY),
            ("mip_feasibility_tolerance", tolerances.MIP_FEASIBILITY),
            # HiGHS would drop what is up to 1e-9, and with it points of a model; this is the least it takes.
            ("small_matrix_value", 1e-12),
        ):
            self._highs.setOptionValue(option, value)
        self._integers = np.flatnonzero(model.integer).astype(np.int32)
        self._relaxed = False
        self._presolve = "choose"
        self._pass()

    def _pass(self) -> None:
        model, lp = self.model, highspy.HighsLp()
        lp.num_col_, lp.num_row_ = model.columns, model.rows
        lp.col_cost_ = np.array(model.cost, dtype=float)
        lp.col_lower_, lp.col_upper_ = np.array(model.lower), np.array(model.upper)
        lp.row_lower_, lp.row_upper_ = np.array(model.row_lower), np.array(model.row_upper)
        lp.offset_ = model.constant
        lp.sense_ = highspy.ObjSense.kMaximize if model.maximise else highspy.ObjSense.kMinimize
        matrix = model.matrix()
        lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
        lp.a_matrix_.start_ = matrix.indptr.astype(np.int32)
        lp.a_matrix_.index_ = matrix.indices.astype(np.int32)
        lp.a_matrix_.value_ = matrix.data
        if len(self._integers):
            kinds = [highspy.HighsVarType.kContinuous] * model.columns
            for j in self._integers:
                kinds[j] = highspy.HighsVarType.kInteger
            lp.integrality_ = kinds
        if self._highs.passModel(lp) == highspy.HighsStatus.kError:
            raise refusal(model)
        self._pass_products()
        self._relaxed = False

    def _pass_products(self) -> None:
        """The Hessian of a convex quadratic objective, lower triangle by columns."""
        products = self.model.cost_products
        if not products.values:
            return
        if any(self.model.integer):
            raise SolverMissing(
                "HiGHS has no quadratic objective beside integer columns; use solver gurobi or scip"
            )
        passed = hessian_of(self.model)
        if self._highs.passHessian(passed) == highspy.HighsStatus.kError:
            raise SolverError(f"HiGHS refused the quadratic objective of {self.model.name!r}")

    def set_costs(self, columns: Array, values: Array) -> None:
        cols = np.asarray(columns, dtype=np.int32)
        vals = np.asarray(values, dtype=float)
        for j, v in zip(cols, vals, strict=True):
            self.model.cost[j] = float(v)
        self._highs.changeColsCost(len(cols), cols, vals)

    def set_objective(self, cost: Array, *, maximise: bool, constant: float = 0.0) -> None:
        cost = np.asarray(cost, dtype=float)
        self.model.cost = cost.tolist()
        self.model.maximise, self.model.constant = maximise, constant
        sense = highspy.ObjSense.kMaximize if maximise else highspy.ObjSense.kMinimize
        self._highs.changeObjectiveSense(sense)
        self._highs.changeObjectiveOffset(constant)
        self._highs.changeColsCost(len(cost), np.arange(len(cost), dtype=np.int32), cost)

    def set_bounds(self, columns: Array, lower: Array, upper: Array) -> None:
        cols = np.asarray(columns, dtype=np.int32)
        low, up = np.asarray(lower, dtype=float), np.asarray(upper, dtype=float)
        for j, a, b in zip(cols, low, up, strict=True):
            self.model.lower[j], self.model.upper[j] = float(a), float(b)
        self._highs.changeColsBounds(len(cols), cols, low, up)

    def set_row_bounds(self, row: int, lower: float, upper: float) -> None:
        self.model.row_lower[row], self.model.row_upper[row] = lower, upper
        self._highs.changeRowBounds(row, lower, upper)

    def add_row(self, name: str, columns: Array, values: Array, lower: float, upper: float) -> int:
        row = self.model.add_row(name, columns, values, lower, upper)
        start, end = self.model.starts[row], self.model.starts[row + 1]
        self._highs.addRow(
            lower,
            upper,
            end - start,
            np.array(self.model.indices[start:end], dtype=np.int32),
            np.array(self.model.values[start:end]),
        )
        return row

    def reload(self) -> None:
        """Pass the model afresh, after columns were added or rows were rewritten in place."""
        self._integers = np.flatnonzero(self.model.integer).astype(np.int32)
        self._highs.clearModel()
        self._pass()

    def _relax(self, relax: bool) -> None:
        if relax == self._relaxed or not len(self._integers):
            return
        kind = highspy.HighsVarType.kContinuous if relax else highspy.HighsVarType.kInteger
        self._highs.changeColsIntegrality(
            len(self._integers), self._integers, np.array([kind] * len(self._integers))
        )
        self._relaxed = relax

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
        """Solve (the LP relaxation with ``relax``). ``cutoff``: stop once the bound falls below it (when
        maximising; rises above it when minimising)."""
        began = time.perf_counter()
        self._relax(relax)
        mip = bool(len(self._integers)) and not relax
        highs = self._highs
        highs.setOptionValue("mip_rel_gap", gap)
        # HiGHS's clock runs over all solves of one object, so the limit is set from where it stands.
        until = _INF if time_limit is None else highs.getRunTime() + float(time_limit)
        highs.setOptionValue("time_limit", until)
        highs.setOptionValue("mip_max_nodes", highspy.kHighsIInf if node_limit is None else node_limit)
        if start is not None and mip:
            solution = highspy.HighsSolution()
            solution.col_value = np.asarray(start, dtype=float).tolist()
            highs.setSolution(solution)
        self._run(mip, cutoff)
        if highs.getModelStatus() == _S.kUnboundedOrInfeasible:
            # Presolve found one of the two without telling which.
            highs.setOptionValue("presolve", "off")
            self._run(mip, cutoff)
            highs.setOptionValue("presolve", self._presolve)
        if highs.getModelStatus() == _S.kUnboundedOrInfeasible:
            return self._feasible_or_not(time.perf_counter() - began)
        if highs.getModelStatus() not in _STATUS or highs.getModelStatus() == _S.kInfeasible:
            self._again()
        _done["seconds"] += SOLVE_SECONDS + ITERATION_SECONDS * max(
            highs.getInfo().simplex_iteration_count, 0
        )
        return self._read(mip, time.perf_counter() - began)

    def _run(self, mip: bool, cutoff: float | None) -> None:
        highs = self._highs
        if cutoff is None or not mip:
            self._start()
            return
        sign = -1.0 if self.model.maximise else 1.0

        def stop(event: Any) -> None:
            if sign * float(event.data_out.mip_dual_bound) >= sign * cutoff:
                event.interrupt()

        highs.cbMipInterrupt += stop
        try:
            self._start()
        finally:
            highs.cbMipInterrupt -= stop

    def _start(self) -> None:
        """Run; once more with a scheduler of our own where somebody else's HiGHS in this process (Pyomo's) began with
        another number of threads: all objects share one, and HiGHS then refuses to run."""
        if self._highs.run() == highspy.HighsStatus.kError:
            self._highs.resetGlobalScheduler(True)
            self._highs.run()

    def infeasibility_ray(self) -> Array | None:
        """Row multipliers that show the LP relaxation infeasible (Farkas); None where HiGHS has none to give.

        Whether they do is for the caller to compute: see `proven_empty`.
        """
        highs = self._highs
        self._relax(True)
        highs.setOptionValue("presolve", "off")
        highs.setOptionValue("solver", "simplex")
        highs.clearSolver()
        self._start()
        ray = None
        if highs.getModelStatus() == _S.kInfeasible:
            _, found, values = highs.getDualRay()
            ray = np.asarray(values, dtype=float) if found else None
        highs.setOptionValue("presolve", self._presolve)
        return ray

    def _feasible_or_not(self, seconds: float) -> Solved:
        """Without its objective the model is infeasible, or else it was unbounded."""
        worst = math.inf if self.model.maximise else -math.inf
        columns = np.arange(self.model.columns, dtype=np.int32)
        self._highs.changeColsCost(len(columns), columns, np.zeros(len(columns)))
        self._highs.run()
        infeasible = self._highs.getModelStatus() == _S.kInfeasible
        self._highs.changeColsCost(len(columns), columns, np.array(self.model.cost, dtype=float))
        if infeasible:
            return Solved("infeasible", None, -worst, None, None, None, seconds)
        return Solved("unbounded", None, worst, None, None, None, seconds)

    def _read(self, mip: bool, seconds: float) -> Solved:
        highs = self._highs
        kind = highs.getModelStatus()
        if kind == _S.kModelEmpty:
            constant, none = self.model.constant, np.zeros(0)
            return Solved("optimal", constant, constant, none, none, none, seconds)
        worst = math.inf if self.model.maximise else -math.inf
        if kind not in _STATUS:
            return Solved("error", None, worst, None, None, None, seconds)
        status: Status = _STATUS[kind]
        info = highs.getInfo()
        if status in ("infeasible", "unbounded"):
            bound = -worst if status == "infeasible" else worst
            return Solved(status, None, bound, None, None, None, seconds)
        has_point = int(info.primal_solution_status) == int(highspy.SolutionStatus.kSolutionStatusFeasible)
        solution = highs.getSolution()
        x = np.array(solution.col_value) if has_point else None
        value = float(info.objective_function_value) if has_point else None
        duals = reduced = None
        bound = worst
        if mip:
            stated = float(info.mip_dual_bound)
            bound = stated if math.isfinite(stated) else worst
            if status != "optimal":
                status = "feasible" if has_point else "no_point"
        elif status == "optimal":
            duals, reduced = np.array(solution.row_dual), np.array(solution.col_dual)
            bound = value if value is not None else worst
        else:
            status = "feasible" if has_point else "no_point"
        return Solved(status, value, bound, x, duals, reduced, seconds)

    def _again(self) -> None:
        """A second, colder run for answers that would be costly if false: "unknown" and infeasible.

        Without presolve and from no basis; then with HiGHS's own looser tolerances. Infeasible is believed only
        if both say so: HiGHS 1.15.1 was seen to call a feasible MILP infeasible at one integrality tolerance
        (1e-7), with presolve or without, and to solve it at 1e-6 and at 1e-9.
        """
        highs = self._highs
        if highs.getModelStatus() == _S.kModelEmpty:
            return
        for presolve, tolerance, whole in (
            ("off", tolerances.PRIMAL_FEASIBILITY, tolerances.MIP_FEASIBILITY),
            ("choose", tolerances.LOOSER_FEASIBILITY, tolerances.LOOSER_MIP_FEASIBILITY),
        ):
            highs.clearSolver()
            highs.setOptionValue("presolve", presolve)
            highs.setOptionValue("primal_feasibility_tolerance", tolerance)
            highs.setOptionValue("dual_feasibility_tolerance", tolerance)
            highs.setOptionValue("mip_feasibility_tolerance", whole)
            self._start()
            if highs.getModelStatus() in _STATUS and highs.getModelStatus() != _S.kInfeasible:
                break
        highs.setOptionValue("mip_feasibility_tolerance", tolerances.MIP_FEASIBILITY)
        highs.setOptionValue("presolve", self._presolve)
        highs.setOptionValue("primal_feasibility_tolerance", tolerances.PRIMAL_FEASIBILITY)
        highs.setOptionValue("dual_feasibility_tolerance", tolerances.DUAL_FEASIBILITY)

    def basis_by_name(self) -> dict[str, int]:
        """The simplex basis of the last LP, by column and row name, for a later model with more rows."""
        basis = self._highs.getBasis()
        if not basis.valid:
            return {}
        found = {f"c:{n}": int(v) for n, v in zip(self.model.column_names, basis.col_status, strict=True)}
        found.update({f"r:{n}": int(v) for n, v in zip(self.model.row_names, basis.row_status, strict=True)})
        return found

    def start_from(self, known: dict[str, int]) -> None:
        """Begin from a stored basis: unknown rows basic, unknown columns at their lower bound.

        Where the counts don't fit (rows or columns have gone), HiGHS starts from nothing.
        """
        if not known:
            return
        basis = highspy.HighsBasis()
        at_lower, basic = int(highspy.HighsBasisStatus.kLower), int(highspy.HighsBasisStatus.kBasic)
        columns = [known.get(f"c:{n}", at_lower) for n in self.model.column_names]
        rows = [known.get(f"r:{n}", basic) for n in self.model.row_names]
        missing = len(rows) - sum(v == basic for v in columns) - sum(v == basic for v in rows)
        if missing > 0:
            # Basic columns that are no more: slack rows take their places.
            for i, v in enumerate(rows):
                if missing and v != basic:
                    rows[i], missing = basic, missing - 1
        basis.col_status = [highspy.HighsBasisStatus(v) for v in columns]
        basis.row_status = [highspy.HighsBasisStatus(v) for v in rows]
        basis.valid = True
        self._highs.setBasis(basis)

    def without_presolve(self) -> None:
        """For a second opinion: HiGHS's false bounds were seen with presolve."""
        self._presolve = "off"
        self._highs.setOptionValue("presolve", "off")

    def prefer_primal_simplex(self) -> None:
        """For many objectives over the same rows: the last vertex stays feasible."""
        self._highs.setOptionValue("simplex_strategy", 4)

    def prefer_interior_point(self) -> None:
        """For one large LP without a basis to begin from: interior point, then crossover to a vertex."""
        self._highs.setOptionValue("solver", "ipm")

    def write(self, path: Path) -> None:
        """The model as a file, with its names. Raises OSError when HiGHS can't write it."""
        for j, name in enumerate(self.model.column_names):
            self._highs.passColName(j, _file_name(name, j))
        for i, name in enumerate(self.model.row_names):
            self._highs.passRowName(i, _file_name(name, i))
        if self._highs.writeModel(str(path)) == highspy.HighsStatus.kError:
            raise OSError(f"{path} can't be written")

    def close(self) -> None:
        self._highs.clear()


def _file_name(name: str, index: int) -> str:
    """A name that every reader of .mps and .lp files takes, still telling its origin."""
    plain = "".join(c if c.isalnum() or c in "_.,[]-" else "_" for c in name)
    return f"{plain}#{index}"


_S = highspy.HighsModelStatus
_STATUS: dict[object, Status] = {
    _S.kOptimal: "optimal",
    _S.kInfeasible: "infeasible",
    _S.kUnbounded: "unbounded",
    _S.kTimeLimit: "feasible",
    _S.kIterationLimit: "feasible",
    _S.kSolutionLimit: "feasible",
    _S.kObjectiveBound: "feasible",
    _S.kInterrupt: "feasible",
}
